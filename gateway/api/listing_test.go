package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices/registry"
)

// idsOf follows a list to its end, and returns what member of each thing names it.
func (w *world) idsOf(path, things, id string, headers ...string) (ids []string) {
	w.t.Helper()
	for next := ""; ; {
		target := path
		if next != "" {
			target += "&after=" + url.QueryEscape(next)
		}
		rec := w.do("GET", target, headers...)
		if rec.Code != 200 {
			w.t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
			return ids
		}
		page := decoded(w.t, rec)
		for _, thing := range page[things].([]any) {
			ids = append(ids, fmt.Sprint(thing.(map[string]any)[id]))
		}
		if next, _ = page["next"].(string); next == "" {
			return ids
		}
		if len(ids) > 1000 {
			w.t.Fatal("the list has no end")
		}
	}
}

func TestListsOfDevicesAreSearchedFilteredAndSorted(t *testing.T) {
	w := newPeople(t, registry.Options{})
	for _, body := range []string{
		`{"id":"d1","fleet":"north","name":"Béla","metadata":{"plate":"AB 1","depot":"x:1"}}`,
		`{"id":"d2","fleet":"south","name":"anna"}`,
		`{"id":"d3","fleet":"north","metadata":{"plate":"AB 2"}}`,
		`{"id":"d4","fleet":"south","name":"Anna","status":"disabled","metadata":{"plate":"AB 1"}}`,
	} {
		if rec := w.send("POST", "/api/devices", body); rec.Code != 201 {
			t.Fatal(rec.Body)
		}
	}
	for query, want := range map[string]string{
		"sort=name":             "d2 d4 d1 d3", // without a name at the end; names alike by id
		"sort=-name":            "d1 d4 d2 d3",
		"sort=-id":              "d4 d3 d2 d1",
		"sort=id":               "d1 d2 d3 d4",
		"sort=fleet":            "d1 d3 d2 d4",
		"sort=-created":         "d4 d3 d2 d1",
		"sort=status&search=AB": "d4 d1 d3",
		"metadata=plate:AB+1":   "d1 d4",
		"metadata=plate:AB+1&metadata=depot:x%3A1": "d1",
		"metadata=plate:AB+1&sort=-name":           "d1 d4",
		"search=BÉLA":                              "d1",
		"fleet=north&sort=-name&search=ab":         "d1 d3",
	} {
		for _, limit := range []string{"1", "3", "1000"} {
			if got := strings.Join(w.idsOf("/api/devices?limit="+limit+"&"+query, "devices", "id"), " "); got != want {
				t.Errorf("%s in pages of %s: %s, want %s", query, limit, got, want)
			}
		}
	}
	for query, parameter := range map[string]string{
		"sort=colour": "sort", "sort=": "sort", "sort=name&after=d1": "after", "sort=name&after=e30": "after", "metadata=plate": "metadata",
		"metadata=:x": "metadata", "sort=name&after=" + strings.Repeat("x", 5000): "after", "search=" + strings.Repeat("x", 513): "search",
		strings.Repeat("metadata=a:b&", 33): "metadata", "sort=name&sort=id": "sort",
	} {
		isProblem(t, w.do("GET", "/api/devices?"+query), 400, parameter)
	}
	// A next belongs to its sorting.
	next, _ := decoded(t, w.do("GET", "/api/devices?sort=name&limit=1"))["next"].(string)
	isProblem(t, w.do("GET", "/api/devices?sort=-name&after="+next), 400, "after")
	if got := strings.Join(w.idsOf("/api/fleets?sort=-devices&limit=1", "fleets", "id"), " "); got != "south north" {
		t.Errorf("fleets: %s", got)
	}
	if got := strings.Join(w.idsOf("/api/fleets?search=NOR", "fleets", "id"), " "); got != "north" {
		t.Errorf("fleets: %s", got)
	}
	for i, kind := range []string{"gateway", "client"} {
		w.send("POST", "/api/credentials", fmt.Sprintf(`{"name":"c%d","kind":%q,"fleets":["north"]}`, i, kind))
	}
	w.send("POST", "/api/credentials", `{"name":"c1","kind":"client","rules":[{"filter":"a","publish":true}]}`)
	if got := strings.Join(w.idsOf("/api/credentials?sort=kind", "credentials", "name"), " "); got != "c1 c0" {
		t.Errorf("credentials: %s", got)
	}
	if got := strings.Join(w.idsOf("/api/credentials?kind=gateway&search=nor", "credentials", "name"), " "); got != "c0" {
		t.Errorf("credentials: %s", got)
	}
	isProblem(t, w.do("GET", "/api/credentials?kind=device"), 400, "kind")
}

func TestListsOfAssetsAreSearchedBySightAndName(t *testing.T) {
	w := newWorld(t, nil, "a", "b", "c", "d")
	frame := func(id, rest string) { w.assets.frames[id] = `{"id":"` + id + `","fleet":"north",` + rest + `}` }
	frame("a", `"name":"Zoe","status":"online","received":4,"lat":48.8,"lon":2.3,"speed":1`)
	frame("b", `"name":"yann","status":"offline","received":3`)
	frame("c", `"status":"online","received":9,"lat":-18,"lon":179.9,"speed":16`)
	frame("d", `"name":"Yves","status":"online","received":1,"lat":1,"lon":2,"speed":0`)
	for query, want := range map[string]string{
		"sort=-received": "c a b d", "sort=speed": "d a c b", "sort=-speed": "c a d b", "sort=name": "b d a c",
		"bbox=2,48,3,49": "a", "bbox=170,-30,-170,0": "c", "search=y": "b d", "search=y&sort=-name": "d b", "bbox=-180,-90,180,90&sort=received": "d a c",
	} {
		for _, limit := range []string{"1", "100"} {
			if got := strings.Join(w.idsOf("/api/assets?limit="+limit+"&"+query, "assets", "id"), " "); got != want {
				t.Errorf("%s in pages of %s: %s, want %s", query, limit, got, want)
			}
		}
	}
	features := decoded(t, w.do("GET", "/api/assets.geojson?bbox=2,48,3,49"))["features"].([]any)
	if len(features) != 1 {
		t.Errorf("%v", features)
	}
	for query, parameter := range map[string]string{"bbox=1,2,3": "bbox", "bbox=NaN,1,2,3": "bbox", "sort=metrics": "sort", "sort=name&after=a": "after"} {
		isProblem(t, w.do("GET", "/api/assets?"+query), 400, parameter)
	}
	isProblem(t, w.do("GET", "/api/assets.geojson?sort=name"), 400, "sort")
}

func TestListsOfPeopleAreFilteredAndSorted(t *testing.T) {
	w := newWhole(t)
	bearer := "Authorization: Bearer " + localToken
	for _, body := range []string{
		`{"name":"ann+x","password":"correct horse battery","role":"admin","all_fleets":true}`,
		`{"name":"bob","password":"correct horse battery","role":"viewer","fleets":["north"]}`,
		`{"name":"cid","password":"correct horse battery","role":"viewer","fleets":["south"]}`,
	} {
		if rec := w.send("POST", "/api/users", body, bearer); rec.Code != 201 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	w.send("PATCH", "/api/users/cid", `{"disabled":true}`, bearer)
	for _, note := range []string{"export", "wall", "Backup"} {
		if rec := w.send("POST", "/api/keys", `{"role":"viewer","all_fleets":true,"note":"`+note+`"}`, bearer); rec.Code != 201 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	for query, want := range map[string]string{
		"role=viewer": "bob cid", "status=disabled": "cid", "sort=-id": "cid bob ann+x", "sort=-role": "ann+x cid bob", "search=nort": "bob", "limit=1": "ann+x bob cid",
	} {
		if got := strings.Join(w.idsOf("/api/users?"+query, "users", "name", bearer), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := strings.Join(w.idsOf("/api/keys?sort=note&limit=2", "keys", "note", bearer), " "); got != "Backup export wall" {
		t.Errorf("keys: %s", got)
	}
	if got := w.idsOf("/api/keys?search=back", "keys", "note", bearer); !slices.Equal(got, []string{"Backup"}) {
		t.Errorf("keys: %v", got)
	}
	if rec := w.do("GET", "/api/users/bob", bearer); rec.Code != 200 || decoded(t, rec)["role"] != "viewer" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do("GET", "/api/users/nobody", bearer), 404, "")
	isProblem(t, w.do("GET", "/api/users?role=king", bearer), 400, "role")
}
