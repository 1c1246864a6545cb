package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetcast/fleetcast/gateway/api/openapi"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// asyncAPI is the schema that the standard publishes of documents of version 3.0.0.
func asyncAPI(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(browsertest.Packages(t), "@asyncapi", "specs", "schemas", "3.0.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	definition, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const name = "http://asyncapi.com/definitions/3.0.0/asyncapi.json"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, definition); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// What is wrong with a document is seen, each in a part of it that the standard describes elsewhere.
func TestTheDescriptionOfMessagesIsAsTheStandardSays(t *testing.T) {
	t.Parallel()
	schema := asyncAPI(t)
	text, err := openapi.Messages()
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(document)
	}
	if err := check(string(text)); err != nil {
		t.Errorf("the document is not AsyncAPI 3.0.0: %v", err)
	}
	for right, wrong := range map[string]string{
		`"asyncapi":"3.0.0"`: `"asyncapi":"2.6.0"`,
		`"info":{`:           `"info":{"licence":"none",`,
		`"action":"send"`:    `"action":"publish"`,
		`"address":"`:        `"adress":"`,
		`"operations":{`:     `"operations":{"none":{"action":"send"},`,
		`"protocol":"`:       `"protocoll":"`,
		`"components":{`:     `"components":{"payloads":{},`,
		`"examples":[{`:      `"examples":[{"body":1,`,
		`"type":"object"`:    `"type":"record"`,
	} {
		if broken := strings.Replace(string(text), right, wrong, 1); broken == string(text) {
			t.Errorf("the document has no %s", right)
		} else if check(broken) == nil {
			t.Errorf("%s in place of %s is taken", wrong, right)
		}
	}
}
