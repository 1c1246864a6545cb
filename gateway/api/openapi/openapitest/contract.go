// Package openapitest holds what a server does to what gateway/api/openapi says of it. It is for tests.
package openapitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/fleetcast/fleetcast/gateway/api/openapi"
)

// Contract is the description, read by a library that knows nothing of ours. It may be used concurrently.
type Contract struct {
	Document *openapi3.T
	options  openapi3filter.Options
	paths    map[int][]template // by the number of segments
}

// template is a path of the description.
type template struct {
	path     string
	segments []string
	item     *openapi3.PathItem
}

// Load reads the description once. Its error says what is wrong with it as an OpenAPI 3.1 document, or with an example.
var Load = sync.OnceValues(func() (*Contract, error) {
	text, err := openapi.Document()
	if err != nil {
		return nil, err
	}
	closed, err := closeObjects(text)
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(closed)
	if err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	if err := document.Validate(loader.Context, openapi3.EnableExamplesValidation(), openapi3.EnableSchemaPatternValidation()); err != nil {
		return nil, fmt.Errorf("check description: %w", err)
	}
	for _, kind := range []string{"application/geo+json", "application/merge-patch+json"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.JSONBodyDecoder)
	}
	for _, kind := range []string{"application/x-ndjson", "text/css", "text/javascript", "text/html", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	openapi3filter.RegisterBodyDecoder("text/csv", openapi3filter.PlainBodyDecoder)
	c := &Contract{
		Document: document, paths: map[int][]template{},
		options: openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true},
	}
	for path, item := range document.Paths.Map() {
		segments := strings.Split(path, "/")
		c.paths[len(segments)] = append(c.paths[len(segments)], template{path, segments, item})
	}
	return c, nil
})

// closeObjects has every schema that lists its members refuse others: what is not described is an error here, while a
// client must not mind what a later version says more.
func closeObjects(text []byte) ([]byte, error) {
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	walk(document)
	closed, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("write description: %w", err)
	}
	return closed, nil
}

func walk(node any) {
	switch v := node.(type) {
	case []any:
		for _, each := range v {
			walk(each)
		}
	case map[string]any:
		for name, each := range v {
			if name != "example" && name != "examples" {
				walk(each)
			}
		}
		_, isOpen := v["additionalProperties"]
		if _, lists := v["properties"].(map[string]any); lists && v["type"] != nil && !isOpen {
			v["additionalProperties"] = false
		}
	}
}

// Exchange is a request and what came back.
type Exchange struct {
	Method      string
	URL         *url.URL
	Request     http.Header
	RequestBody []byte
	Status      int
	Answer      http.Header
	AnswerBody  []byte
}

// Check tells what of an exchange is not as described; nil where its path is not described. A request must be as
// described where it was not refused; what was refused must have been so by a problem. Streams are held to the
// description of their refusals only.
func (c *Contract) Check(ctx context.Context, e *Exchange) error {
	route, params := c.find(e)
	if route == nil {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, e.Method, e.URL.String(), bytes.NewReader(e.RequestBody))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	r.Header = e.Request.Clone()
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &c.options}
	if e.Status < 400 {
		if err := openapi3filter.ValidateRequest(ctx, request); err != nil {
			return fmt.Errorf("%s %s was taken and is not as described: %w", e.Method, e.URL, err)
		}
		if err := undescribed(route.Operation, route.PathItem, e.URL.Query()); err != nil {
			return fmt.Errorf("%s %s was taken: %w", e.Method, e.URL, err)
		}
	}
	if r.Method == http.MethodHead || e.Status < 400 && isStream(route.Operation) {
		return nil
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: request, Status: e.Status, Header: e.Answer, Options: &c.options}
	if err := openapi3filter.ValidateResponse(ctx, answer.SetBodyBytes(e.AnswerBody)); err != nil {
		return fmt.Errorf("%s %s answered %d not as described: %w", e.Method, e.URL, e.Status, err)
	}
	return nil
}

// undescribed names a parameter of a query that the operation does not have.
func undescribed(operation *openapi3.Operation, item *openapi3.PathItem, query url.Values) error {
	for name := range query {
		isTicket := name == "ticket" && isStream(operation)
		if !isTicket && operation.Parameters.GetByInAndName("query", name) == nil && item.Parameters.GetByInAndName("query", name) == nil {
			return fmt.Errorf("its parameter %q is not described", name)
		}
	}
	return nil
}

func isStream(operation *openapi3.Operation) bool {
	answer := operation.Responses.Status(http.StatusOK)
	return answer != nil && answer.Value.Content["text/event-stream"] != nil
}

// find returns the operation of an exchange, the one with the fewest parameters where several fit.
func (c *Contract) find(e *Exchange) (*routers.Route, map[string]string) {
	segments := strings.Split(e.URL.EscapedPath(), "/")
	var best *template
	var params map[string]string
	for i := range c.paths[len(segments)] {
		t := &c.paths[len(segments)][i]
		if found, ok := t.match(segments); ok && (best == nil || len(found) < len(params)) {
			best, params = t, found
		}
	}
	if best == nil {
		return nil, nil
	}
	method := e.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	operation := best.item.GetOperation(method)
	if operation == nil {
		return nil, nil // the router says so, by a problem of its own
	}
	return &routers.Route{Spec: c.Document, Path: best.path, PathItem: best.item, Method: method, Operation: operation}, params
}

func (t *template) match(segments []string) (map[string]string, bool) {
	params := map[string]string{}
	for i, want := range t.segments {
		name, isParameter := strings.CutPrefix(want, "{")
		if !isParameter {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return params, true
}
