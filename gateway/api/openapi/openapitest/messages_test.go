package openapitest

import (
	"slices"
	"strings"
	"testing"
)

func TestTheDescriptionOfMessagesIsWhole(t *testing.T) {
	t.Parallel()
	m, err := LoadMessages()
	if err != nil {
		t.Fatal(err)
	}
	a := &m.Async
	if !strings.HasPrefix(a.AsyncAPI, "3.0.") || a.Info.Title == "" || a.Info.Version == "" || len(a.Channels) < 6 {
		t.Fatalf("%+v", a)
	}
	used := map[string]bool{}
	for name, c := range a.Channels {
		if c.Address == "" || len(c.Servers) == 0 || len(c.Messages) == 0 {
			t.Errorf("channel %s says too little", name)
		}
		for _, s := range c.Servers {
			if !a.Resolve(s) {
				t.Errorf("channel %s: there is no %s", name, s.To)
			}
		}
		for _, r := range c.Messages {
			if used[strings.TrimPrefix(r.To, "#/components/messages/")] = true; !a.Resolve(r) {
				t.Errorf("channel %s: there is no %s", name, r.To)
			}
		}
		served := 0
		for _, o := range a.Operations {
			if o.Channel.To == "#/channels/"+name {
				served++
			}
		}
		if served == 0 {
			t.Errorf("nothing is done with channel %s", name)
		}
	}
	for name, o := range a.Operations {
		for _, r := range append([]Ref{o.Channel}, o.Messages...) {
			if !a.Resolve(r) {
				t.Errorf("operation %s: there is no %s", name, r.To)
			}
		}
		if !slices.Contains([]string{"send", "receive"}, o.Action) {
			t.Errorf("operation %s: %q is no action", name, o.Action)
		}
	}
	for name, message := range a.Components.Messages {
		if !used[name] {
			t.Errorf("message %s is in no channel", name)
		}
		for _, e := range message.Examples {
			if err := m.Check(name, e.Payload); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAnEventThatIsNotAsDescribedIsFound(t *testing.T) {
	t.Parallel()
	m, err := LoadMessages()
	if err != nil {
		t.Fatal(err)
	}
	for event, data := range map[string]string{
		"": `{"id":"a","fleet":"north","status":"online"}`, "ready": `{"sid":"a","assets":1,"position":"x","more":1}`, "view": `{"seq":"1"}`, "new": `{}`, "reset": `{`,
	} {
		if m.CheckEvent(event, data) == nil {
			t.Errorf("%q may be %s", event, data)
		}
	}
}
