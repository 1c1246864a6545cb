package scenario

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// herd is bridges that come, leave and are killed. Its methods are for one goroutine.
type herd struct {
	random  *rand.Rand
	bridges []*prove.Gateway
	admins  []string
	alive   []bool
}

// shares are how many partitions each that lives says that it owns.
func (h *herd) shares(ctx context.Context) (all []int) {
	for i, admin := range h.admins {
		if h.alive[i] {
			all = append(all, owned(ctx, admin))
		}
	}
	return all
}

func sum(all []int) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}

func isEven(all []int) bool {
	least, most := all[0], all[0]
	for _, n := range all {
		least, most = min(least, n), max(most, n)
	}
	return sum(all) == 16 && most-least <= 1
}

// change lets one bridge come, leave or die; one of them always lives. Now and then nobody waits until every partition has an
// owner again, and the next change comes into that.
func (h *herd) change() prove.Fault {
	return prove.Fault{
		Name: "a bridge that comes, leaves or is killed", Loses: true,
		Break: func(ctx context.Context) error {
			i := h.random.IntN(len(h.bridges))
			if !h.alive[i] {
				h.alive[i] = true
				return h.bridges[i].Restart(ctx)
			}
			living := 0
			for _, alive := range h.alive {
				if alive {
					living++
				}
			}
			if living == 1 {
				return nil
			}
			h.alive[i] = false
			if h.random.IntN(2) == 0 {
				return h.bridges[i].Kill(ctx)
			}
			return h.bridges[i].End(ctx)
		},
		Mend: func(ctx context.Context) error {
			if h.random.IntN(3) == 0 {
				return nil
			}
			return until(ctx, "every partition to have an owner", func() bool { return sum(h.shares(ctx)) == 16 })
		},
	}
}

// The model is the ledger: nothing that was acknowledged is lost, whoever owns it meanwhile; and at the end the partitions are
// shared evenly, each with one owner.
func TestNothingAcknowledgedIsLostWhereBridgesComeAndGo(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	door := part(t, redis.address, "broker")
	h := &herd{random: rand.New(rand.NewPCG(11, 0))}
	for range 4 {
		admin := freeAddress(t)
		h.bridges = append(h.bridges, startGateway(t, "--roles=bridge", "--redis=redis://"+redis.address, "--admin-listen="+admin))
		h.admins, h.alive = append(h.admins, admin), append(h.alive, true)
	}
	first, second := part(t, redis.address, "edge"), part(t, redis.address, "edge")
	o := durable([]string{door.MQTT()}, []string{first.URL(), second.URL()})
	o.Faults, o.FaultCount = []prove.Fault{h.change()}, times(4, 60)
	run(t, o)
	for i, alive := range h.alive {
		if h.alive[i] = true; alive {
			continue
		}
		if err := h.bridges[i].Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var last []int
	even := func() bool { last = h.shares(t.Context()); return isEven(last) }
	for range 3 { // one partition moves every two seconds, and twelve may have to
		if err := until(t.Context(), "shares that are even", even); err == nil {
			return
		}
	}
	t.Errorf("the partitions are shared as %v", last)
}
