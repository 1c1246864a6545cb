package auth

import (
	"context"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// SetupTTL is how long a link for the first admin holds.
const SetupTTL = 24 * time.Hour

// NewSetup makes the secret of a link by which the first admin signs up, where there is nobody yet who could sign in;
// "" else. Each start makes one, and all hold until the first is used.
func (a *Authority) NewSetup(ctx context.Context) (string, error) {
	if !a.Ready() {
		return "", errNotLoaded
	}
	if a.HasUsers() {
		return "", nil
	}
	token, _ := secret.NewToken()
	ends := until{a.o.Now().Add(SetupTTL).UnixMilli()}
	return token, a.commit(ctx, store.Op{Kind: KindSetup, ID: idOf(token), Value: encode(ends), If: store.Condition{Absent: true}})
}

// SetUp makes the first admin, for who shows the secret of the link. All such links are spent then.
func (a *Authority) SetUp(ctx context.Context, proof, name, password, address string) (User, error) {
	if !a.Ready() {
		return User{}, errNotLoaded
	}
	if err := a.throttle.allow("\x00setup", address); err != nil {
		return User{}, err
	}
	a.dir.mu.RLock()
	ends, known := a.dir.setups[idOf(proof)]
	users := len(a.dir.users)
	var ops []store.Op
	for id := range a.dir.setups {
		ops = append(ops, store.Op{Kind: KindSetup, ID: id})
	}
	a.dir.mu.RUnlock()
	if !known || users > 0 || a.o.Now().UnixMilli() > ends {
		a.throttle.failed("\x00setup", address)
		return User{}, devices.Errorf(devices.Unauthorized, "", "the link is not valid, or was used")
	}
	u, err := a.CreateUser(ctx, name, password, Grant{Role: devices.Admin, AllFleets: true})
	if err != nil {
		return User{}, err
	}
	return u, a.commit(ctx, ops...)
}
