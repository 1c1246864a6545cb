package sse

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func TestAQueryIsReadWhole(t *testing.T) {
	req, err := parseQuery("fleet=north&fleet=Linie%204+%E2%82%AC&device=truck-17&device=ann%3Aphone&fields=lat,lon,speed&every=1000&format=batch&last_event_id=abc&")
	if err != nil {
		t.Fatal(err)
	}
	q := req.query
	if fmt.Sprint(q.Fleets) != "[north Linie 4 €]" || fmt.Sprint(q.Devices) != "[truck-17 ann:phone]" {
		t.Errorf("fleets %v, devices %v", q.Fleets, q.Devices)
	}
	if q.Every != time.Second || q.Fields.IsAll() || req.format != Batch || req.lastEventID != "abc" {
		t.Errorf("%+v", req)
	}
	req, err = parseQuery("")
	if err != nil || req.format != Plain || req.query.Every != 0 || len(req.query.Fleets) != 0 || !req.query.Fields.IsAll() {
		t.Errorf("the empty query is %+v, %v", req, err)
	}
}

func TestWrongParametersAreNamed(t *testing.T) {
	many := func(name string, n int) string { return strings.Repeat("&"+name+"=x", n) }
	for _, c := range []struct{ query, parameter string }{
		{"bbox=1,4,3,2", "bbox"},
		{"bbox=1,2,3", "bbox"},
		{"bbox=NaN,2,3,4", "bbox"},
		{"bbox=-181,2,3,4", "bbox"},
		{"bbox=1,2,3,4&bbox=1,2,3,4", "bbox"},
		{"bbox=" + strings.Repeat("0", 400) + "1,2,3,4", "bbox"},
		{"Fleet=north", "Fleet"},
		{"fleet[]=north", "fleet[]"},
		{"=x", ""},
		{"%66leet=a%2Fb", "fleet"},
		{"fleet=", "fleet"},
		{"fleet", "fleet"},
		{"fleet=%zz", "fleet"},
		{"fleet=%00", "fleet"},
		{"fleet=" + strings.Repeat("x", devices.MaxIDBytes+1), "fleet"},
		{many("fleet", MaxFleets+1), "fleet"},
		{"device=a%2Bb", "device"},
		{"device=%FF", "device"},
		{many("device", MaxDevices+1), "device"},
		{"fields=", "fields"},
		{"fields=lat,,lon", "fields"},
		{"fields=lat&fields=lon", "fields"},
		{"fields=" + strings.Repeat("lat,", 500), "fields"},
		{"every=99", "every"},
		{"every=60001", "every"},
		{"every=0", "every"},
		{"every=-1000", "every"},
		{"every=%2B1000", "every"},
		{"every=1s", "every"},
		{"every=1e3", "every"},
		{"every=1000.0", "every"},
		{"every=18446744073709552616", "every"},
		{"every=", "every"},
		{"every=1000&every=1000", "every"},
		{"format=json", "format"},
		{"format=", "format"},
		{"format=batch&format=batch", "format"},
		{"last_event_id=a&last_event_id=b", "last_event_id"},

		{strings.Repeat("q", 5000) + "=1", strings.Repeat("q", 5000)},
		{"%zz=1", "query"},
	} {
		_, err := parseQuery(c.query)
		e, ok := errors.AsType[*devices.Error](err)
		if !ok || e.Kind != devices.Invalid || e.Field != c.parameter {
			t.Errorf("%.60q gives %v, want an invalid %q", c.query, err, c.parameter)
		}
	}
	if _, err := parseQuery(many("fleet", MaxFleets) + many("device", MaxDevices)); err != nil {
		t.Errorf("the caps themselves are refused: %v", err)
	}
	if req, err := parseQuery("fleet=a;device=b"); err != nil || len(req.query.Fleets) != 1 {
		t.Errorf("a fleet may be called a;device=b: %v", err)
	}
	if req, err := parseQuery("bbox=170,-10.5,-170,10"); err != nil || req.query.BBox.String() != "170,-10.5,-170,10" {
		t.Errorf("a box across 180 is %v: %v", req.query.BBox, err)
	}
	for _, ms := range []string{"100", "60000"} {
		if _, err := parseQuery("every=" + ms); err != nil {
			t.Errorf("every=%s: %v", ms, err)
		}
	}
}

func TestThePositionIsNeverAnErrorAndTheHeaderWins(t *testing.T) {
	long := strings.Repeat("x", MaxLastEventID+1)
	for _, c := range []struct{ query, header, want string }{
		{"", "", ""},
		{"last_event_id=q", "", "q"},
		{"last_event_id=q", "h", "h"},
		{"last_event_id=q", long, ""},
		{"last_event_id=" + long, "", ""},
		{"last_event_id=" + long, "h", "h"},
		{"last_event_id=%zz", "", ""},
		{"last_event_id=%00%FF", "", "\x00\xff"}, // the hub knows that it is none of its own
		{"last_event_id=", "", ""},
		{"", long[1:], long[1:]},
	} {
		r := httptest.NewRequest(http.MethodGet, "/stream/assets?"+c.query, nil)
		if c.header != "" {
			r.Header.Set("Last-Event-ID", c.header)
		}
		req, err := parseRequest(r)
		if err != nil || req.lastEventID != c.want {
			t.Errorf("query %.40q header %.40q gives %.40q, %v", c.query, c.header, req.lastEventID, err)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("fleet=north&device=truck-17&fields=lat,lon&every=1000&format=batch")
	f.Add("last_event_id=%zz&&=&fleet")
	f.Add("every=-1;a=%00")
	f.Add("fleet=%F0%9F%9A%9A&fields=metrics,,")
	f.Fuzz(func(t *testing.T, raw string) {
		req, err := parseQuery(raw)
		if err != nil {
			e, ok := errors.AsType[*devices.Error](err)
			if !ok || e.Kind != devices.Invalid {
				t.Fatalf("%q gives %v", raw, err)
			}
			return
		}
		q := req.query
		if len(q.Fleets) > MaxFleets || len(q.Devices) > MaxDevices || (q.Every != 0 && (q.Every < MinEvery || q.Every > MaxEvery)) || req.format == nil {
			t.Fatalf("%q is out of bounds: %+v", raw, req)
		}
		values, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
		if err == nil && (len(values["fleet"]) != len(q.Fleets) || len(values["device"]) != len(q.Devices)) {
			t.Fatalf("%q: %v against %+v", raw, values, q)
		}
	})
}
