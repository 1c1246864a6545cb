package app

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// Rule 17: whatever is said to a gateway, in good faith or not, its log holds nothing of it, nor what lets somebody in, at the
// level that tells most.
func TestTheLogOfARunHoldsNoPayloadAndNoSecret(t *testing.T) {
	t.Parallel()
	const payload, secret = "payload-5f2c", "secret-81d0"
	var log syncBuffer
	g := startGateway(t, required, requireViewers, func(o *Options) {
		o.Log.Level, o.Guard.AccessLog = slog.LevelDebug, true
		o.Alerts.WebhookInsecure, o.Alerts.WebhookAllow = true, []string{"127.0.0.1/32"}
		o.Report.Logger, o.Report.Level = NewLogger(o.Log, &log)
	})
	hidden := map[string]string{"a payload": payload, "a secret that was tried": secret}
	hide := func(what string, status int, v map[string]any, key string) {
		t.Helper()
		text, _ := v[key].(string)
		if status != http.StatusCreated || text == "" {
			t.Fatalf("make %s: %d %v", what, status, v)
		}
		hidden[what] = text
	}

	admin := g.tokenOf(t, devices.Admin)
	hidden["a signed token"] = admin
	ask := func(method, path, body string) (int, map[string]any) {
		t.Helper()
		return g.askJSONAs(method, path, body, "Authorization", "Bearer "+admin)
	}
	status, device := ask("POST", "/api/devices", `{"id":"truck-17","fleet":"north"}`)
	hide("a device's token", status, device, "token")
	token := hidden["a device's token"]
	g.waitSays("north", "truck-17", token, `{"lat":48.9,"lon":2.3,"`+payload+`":1}`)
	g.says("north", "truck-17", token, payload+" is no JSON")
	g.says("north", "truck-17", token, `{"lat":"`+payload+`"}`)
	g.says("south", "truck-17", token, `{"`+payload+`":1}`)
	g.says("north", "truck-17", secret, `{}`)
	g.says("north", "nobody", secret, `{}`)
	ask("POST", "/api/devices/truck-17/commands", `{"name":"reboot","params":{"note":"`+payload+`"}}`)
	ask("POST", "/api/devices/truck-17/commands", `{"name":"reboot","params":`+payload)

	status, hook := ask("POST", "/api/webhooks", `{"url":"http://127.0.0.1:1/`+secret+`?key=`+secret+`"}`)
	hide("a webhook's secret", status, hook, "secret")
	id, _ := hook["id"].(string)
	ask("POST", "/api/webhooks/"+id+"/test", "")

	if _, err := g.parts.viewers.CreateUser(t.Context(), "ann", secret+"-of-ann", grantAll(devices.Viewer)); err != nil {
		t.Fatal(err)
	}
	_, hidden["a session"] = g.signIn(t, "ann", secret+"-of-ann")
	g.signIn(t, "ann", secret+"-wrong")
	g.request("GET", "/api/devices?access_token="+secret, "Authorization", "Bearer "+admin)
	g.request("GET", "/api/devices?token="+secret, "Authorization", "Bearer "+secret)
	g.stop()

	text := log.String()
	for _, told := range []string{"level=DEBUG", "/api/devices", "webhook"} { // else it proves nothing
		if !strings.Contains(text, told) {
			t.Errorf("the log tells nothing of %s:\n%s", told, text)
		}
	}
	for what, it := range hidden {
		if it == "" {
			t.Errorf("there was no %s", what)
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, it) {
				t.Errorf("%s is in the log: %s", what, line)
			}
		}
	}
}
