package api

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// IdempotencyKey is the header by which a request says that it is the same as another
// (draft-ietf-httpapi-idempotency-key-header).
const IdempotencyKey = "Idempotency-Key"

// maxIdempotencyKey bounds a key. A UUID has 36.
const maxIdempotencyKey = 255

// replayedHeader says that an answer is that of an earlier request.
const replayedHeader = "Idempotency-Replayed"

// parseKey reads the header: a string of RFC 8941, or the same without its quotes, which many clients leave out.
func parseKey(values []string) (string, error) {
	bad := devices.Errorf(devices.Invalid, IdempotencyKey, "is not one key of 1 to %d printable characters, such as a UUID", maxIdempotencyKey)
	if len(values) != 1 {
		return "", bad
	}
	key := strings.TrimSpace(values[0])
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		inner, closed := strings.CutSuffix(inner, `"`)
		if !closed {
			return "", bad
		}
		key = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(inner)
	}
	if key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", bad
	}
	return key, nil
}

// keyed is a request with a key.
type keyed struct {
	id          string // of its record
	caller      string // hash of who asks, with what they may: who may less does not get what they got before
	fingerprint []byte // what is asked
	secret      []byte // seals the answer
}

func hashOf(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part) // never fails
	}
	return h.Sum(nil)
}

// newKeyed names a request. The record's id is a hash of the key, and what is answered is sealed under the key itself:
// a token that is shown once stands in the store, and only who made the request can read it there.
func newKeyed(c *devices.Caller, key string, r *http.Request, body []byte) (*keyed, error) {
	kind, _, _ := strings.Cut(c.Proof, "/") // a token's subject may be called as a user is
	who := []string{kind, c.Subject, c.Role.String(), fmt.Sprint(c.Scope.IsAll())}
	for _, fleet := range c.Scope.Fleets() {
		who = append(who, fleet.String())
	}
	caller := hex.EncodeToString(hashOf(who...))
	id := hashOf(caller, key)
	secret, err := hkdf.Key(sha256.New, []byte(key), id, "fleetcast repeated answer", 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &keyed{
		id: hex.EncodeToString(id), caller: caller, secret: secret,
		fingerprint: hashOf(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("If-Match"), string(body)),
	}, nil
}

// kept is an answer that is given again.
type kept struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
}

// keptHeaders are those that are the answer's, and not the connection's or the moment's.
var keptHeaders = []string{"Content-Type", "ETag", "Location"}

func (k *keyed) cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return aead, nil
}

func (k *keyed) seal(answer *kept) ([]byte, error) {
	plain, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	if len(plain) > maxRepeatedBytes {
		return nil, devices.Errorf(devices.TooLarge, "", "the answer is too large to be kept")
	}
	aead, err := k.cipher()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(nonce, nonce, plain, nil), nil
}

func (k *keyed) open(sealed []byte) (*kept, error) {
	aead, err := k.cipher()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errUnknown
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return nil, fmt.Errorf("open answer: %w", err)
	}
	answer := new(kept)
	if err := json.Unmarshal(plain, answer); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return answer, nil
}

// write gives the answer to whoever asked for it; again says that it was given before.
func (k *kept) write(w http.ResponseWriter, again bool) {
	for name, value := range k.Header {
		w.Header().Set(name, value)
	}
	if again {
		w.Header().Set(replayedHeader, "true")
	}
	w.WriteHeader(k.Status)
	_, _ = w.Write(k.Body) //nolint:gosec // as the handler wrote it, with its type and nosniff; a client that is gone needs no answer
}

// recorder takes an answer that is not given yet.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is what the answer will have.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader is the first status that is given.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// retryUnderWay is when who repeats a request too early may do so again.
const retryUnderWay = time.Second

// once makes of a route that a request with a key is carried out once, whoever repeats it and at which edge. What failed
// is forgotten, and tried anew. The client's leaving does not end what it asked for: it would not know how far it came.
func (a *API) once(f callerHandler) callerHandler {
	return func(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
		p := a.options.Repeats
		values := r.Header.Values(IdempotencyKey)
		if p == nil || len(values) == 0 {
			return f(w, r, c)
		}
		if isImport(r) {
			return devices.Errorf(devices.Invalid, IdempotencyKey, "is not taken by an import: without update=true it changes nothing that is there")
		}
		key, err := parseKey(values)
		if err != nil {
			return err
		}
		body, err := readAll(r)
		if err != nil {
			return err
		}
		k, err := newKeyed(c, key, r, body)
		if err != nil {
			return err
		}
		at, answered, err := p.claim(r.Context(), k)
		switch {
		case errors.Is(err, errOtherUse):
			problem.KeyReused(IdempotencyKey).Write(w, r)
			return nil
		case errors.Is(err, errUnderWay):
			again := problem.Of(err)
			again.RetryAfter = retryUnderWay
			again.Write(w, r)
			return nil
		case err != nil:
			return err
		case answered != nil:
			answered.write(w, true)
			return nil
		}
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = http.NoBody
		if len(body) > 0 {
			r.Body = readCloser{bytes.NewReader(body)}
		}
		return p.carryOut(w, r, c, k, at, f)
	}
}

type readCloser struct{ *bytes.Reader }

// Close has nothing to close.
func (readCloser) Close() error { return nil }

// carryOut has the request done, remembers the answer and gives it.
func (p *Repeats) carryOut(w http.ResponseWriter, r *http.Request, c *devices.Caller, k *keyed, at store.Revision, f callerHandler) error {
	rec := &recorder{header: http.Header{}}
	if err := f(rec, r, c); err != nil {
		p.keep(r.Context(), k, at, nil)
		return err
	}
	answer := &kept{Status: rec.status, Header: map[string]string{}, Body: rec.body.Bytes()}
	if rec.status == 0 {
		answer.Status = http.StatusOK
	}
	for _, name := range keptHeaders {
		if value := rec.header.Get(name); value != "" {
			answer.Header[name] = value
		}
	}
	if answer.Status >= http.StatusBadRequest {
		p.keep(r.Context(), k, at, nil)
	} else {
		p.keep(r.Context(), k, at, answer)
	}
	maps.Copy(w.Header(), rec.header)
	answer.write(w, false)
	return nil
}
