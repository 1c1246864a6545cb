package openapi

import "embed"

//go:embed page
var pages embed.FS

// PagePolicy is what the page may do: run and style itself by its own files, and ask this server.
const PagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page returns a part of the page: "" is the page itself. ok is false where there is none of the name.
func Page(name string) (body []byte, contentType string, ok bool) {
	switch name {
	case "":
		name, contentType = "docs.html", "text/html; charset=utf-8"
	case "docs.js":
		contentType = "text/javascript; charset=utf-8"
	case "docs.css":
		contentType = "text/css; charset=utf-8"
	default:
		return nil, "", false
	}
	body, err := pages.ReadFile("page/" + name)
	return body, contentType, err == nil
}
