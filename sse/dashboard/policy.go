package dashboard

// What the pages may load and run, as Content-Security-Policy. Neither runs an inline script or style, and nothing
// frames them. Trusted Types turn every sink that parses HTML into an error: names and metrics of devices are hostile
// input, shown as text nodes.
const (
	simplePolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

	// The application has one policy of Trusted Types, named default: it lets through the address of MapLibre's worker,
	// which MapLibre passes on as a string, and nothing else: no HTML and no code (app/src/trusted.ts). MapLibre makes
	// images of blobs, and symbols of data.
	appPolicyStart = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default; worker-src 'self'; " +
		"img-src 'self' data: blob:"
)

// appPolicy is the application's, whose map may also load from origin, unless that is "".
func appPolicy(origin string) string {
	if origin == "" {
		return appPolicyStart + "; connect-src 'self'"
	}
	return appPolicyStart + " " + origin + "; connect-src 'self' " + origin
}
