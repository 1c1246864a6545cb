package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// minGzipBytes is the size from which a file is also held compressed: below it the saving is less than a packet.
const minGzipBytes = 1400

var contentTypes = map[string]string{
	".html":  "text/html; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8", // RFC 9239
	".mjs":   "text/javascript; charset=utf-8",
	".json":  "application/json",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

// file is one file in the forms in which it goes out. It is safe for concurrent use.
type file struct {
	contentType string
	cache       string
	policy      string
	plain       []byte
	etag        string
	gzipEtag    string
	// gzipped compresses when first asked: a gateway that nobody looks at, as most of the tests', does not pay for it.
	// It returns nil where it does not pay.
	gzipped func() []byte
}

func newFile(ext string, data []byte) (*file, error) {
	contentType, ok := contentTypes[ext]
	if !ok {
		return nil, fmt.Errorf("no content type is known for %q", ext)
	}
	sum := sha256.Sum256(data)
	tag := hex.EncodeToString(sum[:8])
	return &file{
		contentType: contentType, cache: cacheNever, plain: data, etag: `"` + tag + `"`,
		// RFC 9110 section 8.8.3.3: another coding of the content is another representation with a tag of its own.
		gzipEtag: `"` + tag + `-gzip"`,
		gzipped:  sync.OnceValue(func() []byte { return pack(data) }),
	}, nil
}

// packs says whether the file also goes out compressed.
func (f *file) packs() bool {
	return len(f.plain) >= minGzipBytes && f.contentType != contentTypes[".woff2"]
}

func pack(data []byte) []byte {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(data); err != nil {
		return nil // a buffer takes all
	}
	if err := zw.Close(); err != nil {
		return nil
	}
	return buf.Bytes()
}

// acceptsGzip reads an Accept-Encoding field. Only an explicit gzip counts; what is malformed is not accepted, for
// plain bytes are always right.
func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		weight, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
		if !ok {
			return strings.TrimSpace(params) == ""
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		return err == nil && q > 0 && q <= 1
	}
	return false
}
