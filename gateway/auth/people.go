package auth

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Users returns at most limit users whose names come after a name, in order, and where the next page begins.
func (a *Authority) Users(after string, limit int) (page []User, next string) {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	return pageOf(a.dir.users, after, limit)
}

// Keys returns keys as Users returns users.
func (a *Authority) Keys(after string, limit int) (page []Key, next string) {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	return pageOf(a.dir.keys, after, limit)
}

func pageOf[T any](of map[string]*T, after string, limit int) (page []T, next string) {
	names := slices.Sorted(maps.Keys(of))
	at, found := slices.BinarySearch(names, after)
	if found {
		at++
	}
	for _, name := range names[at:] {
		if len(page) == limit {
			return page, next
		}
		page, next = append(page, *of[name]), name
	}
	return page, ""
}

// User returns one user.
func (a *Authority) User(name string) (User, error) {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	u := a.dir.users[name]
	if u == nil {
		return User{}, devices.Errorf(devices.NotFound, "name", "is nobody's")
	}
	return *u, nil
}

// HasUsers tells whether there is anybody who could sign in.
func (a *Authority) HasUsers() bool {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	return len(a.dir.users) > 0
}

// CreateUser makes a person who may sign in.
func (a *Authority) CreateUser(ctx context.Context, name, password string, g Grant) (User, error) {
	if err := cmp.Or(CheckUserName(name), g.Check(), secret.CheckPassword(password)); err != nil {
		return User{}, err
	}
	hash := a.pass.Hash(ctx, []byte(password))
	if hash == "" {
		return User{}, secret.ErrBusy
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	if users, _ := a.Users("", MaxUsers); len(users) >= MaxUsers {
		return User{}, devices.Errorf(devices.Exhausted, "", "there are %d users already", MaxUsers)
	}
	now := a.o.Now().UnixMilli()
	u := User{Name: name, Grant: g, Password: hash, Serial: newName(9), Created: now, Updated: now}
	err := a.commit(ctx, store.Op{Kind: KindUser, ID: name, Value: encode(u), If: store.Condition{Absent: true}})
	if devices.KindOf(err) == devices.Conflict {
		return User{}, devices.Errorf(devices.Conflict, "name", "is somebody's already")
	}
	return u, err
}

// UserChange is what is to change of a user; nil members stay.
type UserChange struct {
	Grant    *Grant
	Disabled *bool
	Password *string
}

// UpdateUser changes a person. A new password, another grant and being disabled end their sessions.
func (a *Authority) UpdateUser(ctx context.Context, name string, change UserChange) (User, error) {
	if change.Grant != nil {
		if err := change.Grant.Check(); err != nil {
			return User{}, err
		}
	}
	hash := ""
	if change.Password != nil {
		if err := secret.CheckPassword(*change.Password); err != nil {
			return User{}, err
		}
		if hash = a.pass.Hash(ctx, []byte(*change.Password)); hash == "" {
			return User{}, secret.ErrBusy
		}
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	u, err := a.User(name)
	if err != nil {
		return User{}, err
	}
	wasRuler := u.rules()
	if change.Grant != nil {
		u.Grant = *change.Grant
	}
	if change.Disabled != nil {
		u.Disabled = *change.Disabled
	}
	if hash != "" {
		u.Password = hash
	}
	if wasRuler && !u.rules() && a.rulers() == 1 {
		return User{}, errLastAdmin
	}
	u.Serial, u.Updated = newName(9), a.o.Now().UnixMilli()
	return u, a.commit(ctx, store.Op{Kind: KindUser, ID: name, Value: encode(u)})
}

var errLastAdmin = devices.Errorf(devices.Conflict, "", "this is the last admin of all fleets who can sign in")

func (u *User) rules() bool { return u.Role == devices.Admin && u.AllFleets && !u.Disabled }

// rulers is the number of people who may do everything.
func (a *Authority) rulers() int {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	n := 0
	for _, u := range a.dir.users {
		if u.rules() {
			n++
		}
	}
	return n
}

// DeleteUser removes a person with their sessions.
func (a *Authority) DeleteUser(ctx context.Context, name string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	u, err := a.User(name)
	if err != nil {
		return err
	}
	if u.rules() && a.rulers() == 1 {
		return errLastAdmin
	}
	ops := []store.Op{{Kind: KindUser, ID: name}}
	ids, _ := a.sessionsOf(name)
	for _, id := range ids {
		ops = append(ops, store.Op{Kind: KindSession, ID: id})
	}
	return a.commit(ctx, ops...)
}

// keyIDBytes of the hash name a key: it is shown, and finds the record.
const keyIDBytes = 16

func keyID(hash string) string { return hash[:keyIDBytes] }

// CreateKey makes a key and returns what the program shows, here and never again.
func (a *Authority) CreateKey(ctx context.Context, by *devices.Caller, g Grant, note string, ttl time.Duration) (Key, string, error) {
	if err := g.Check(); err != nil {
		return Key{}, "", err
	}
	switch {
	case !g.Within(by):
		return Key{}, "", devices.Errorf(devices.Forbidden, "", "a key must not grant more than its maker has")
	case len(note) > 256:
		return Key{}, "", devices.Errorf(devices.Invalid, "note", "is longer than 256 bytes")
	case ttl < 0:
		return Key{}, "", devices.Errorf(devices.Invalid, "ttl", "is negative")
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	if keys, _ := a.Keys("", MaxKeys); len(keys) >= MaxKeys {
		return Key{}, "", devices.Errorf(devices.Exhausted, "", "there are %d keys already", MaxKeys)
	}
	token, hash := secret.NewToken()
	now := a.o.Now()
	k := Key{ID: keyID(idOf(token)), Grant: g, Note: note, Hash: hash, Created: now.UnixMilli(), By: by.Subject}
	if ttl > 0 {
		k.Expires = now.Add(ttl).UnixMilli()
	}
	err := a.commit(ctx, store.Op{Kind: KindKey, ID: k.ID, Value: encode(k), If: store.Condition{Absent: true}})
	return k, token, err
}

// DeleteKey ends a key, and the streams that it opened.
func (a *Authority) DeleteKey(ctx context.Context, id string) error {
	a.dir.mu.RLock()
	_, known := a.dir.keys[id]
	a.dir.mu.RUnlock()
	if !known {
		return devices.Errorf(devices.NotFound, "id", "is no key's")
	}
	return a.commit(ctx, store.Op{Kind: KindKey, ID: id})
}
