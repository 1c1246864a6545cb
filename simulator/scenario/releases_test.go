package scenario

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// replace is the fault of a process that is told to stop and comes back as another release, on the same ports.
func replace(g *prove.Gateway, program string) prove.Fault {
	return prove.Fault{
		Name: "another release", Loses: true, Break: g.End,
		Mend: func(ctx context.Context) error {
			g.Become(program)
			return g.Restart(ctx)
		},
	}
}

// mixture is an installation of two bridges, two edges and a door over one Redis.
type mixture struct {
	door           *prove.Gateway
	bridges, edges []*prove.Gateway
}

func startMixture(t *testing.T, redis, program string) *mixture {
	t.Helper()
	m := &mixture{door: partOf(t, program, redis, "broker")}
	for range 2 {
		m.bridges = append(m.bridges, partOf(t, program, redis, "bridge"))
		m.edges = append(m.edges, partOf(t, program, redis, "edge"))
	}
	return m
}

func partOf(t *testing.T, program, redis, roles string, args ...string) *prove.Gateway {
	t.Helper()
	return startProgram(t, program, append(args, "--roles="+roles, "--redis=redis://"+redis)...)
}

// roll replaces all processes, one after the other, in an order of roles.
func (m *mixture) roll(program string, roles string) (steps []prove.Fault) {
	for role := range strings.FieldsSeq(roles) {
		of := map[string][]*prove.Gateway{"edges": m.edges, "bridges": m.bridges, "door": {m.door}}[role]
		for _, g := range of {
			steps = append(steps, replace(g, program))
		}
	}
	return steps
}

// The order that the documents name, and those that they do not: each has its own mixtures of who writes what others read.
// While nothing is kept that only the newer release knows, none loses anything, there and back.
func TestNothingAcknowledgedIsLostWhereTwoReleasesRunSideBySide(t *testing.T) {
	for _, old := range releases {
		for _, order := range []string{"edges bridges door", "bridges door edges", "door edges bridges"} {
			t.Run(old.name+", "+order, func(t *testing.T) {
				before, after := old.program(t), gatewayProgram(t)
				m := startMixture(t, startRedis(t).address, before)
				back := strings.Fields(order)
				slices.Reverse(back)
				steps := append(m.roll(after, order), m.roll(before, strings.Join(back, " "))...)
				o := durable([]string{m.door.MQTT()}, []string{m.edges[0].URL(), m.edges[1].URL()})
				o.Faults, o.FaultCount = []prove.Fault{inTurn(steps...)}, len(steps)
				if r := run(t, o); r.Streams <= int64(r.Viewers) {
					t.Errorf("%d viewers opened %d streams: nobody resumed", r.Viewers, r.Streams)
				}
			})
		}
	}
}

// What a newer door marks as traced is no entry that an older bridge knows. It gives the partition up; nothing is skipped, and
// what was acknowledged comes when a newer bridge is there.
func TestAnOlderBridgeRefusesWhatItDoesNotKnowAndSkipsNothing(t *testing.T) {
	for _, old := range strangers {
		t.Run(old.name, func(t *testing.T) {
			before, after, redis := old.program(t), gatewayProgram(t), startRedis(t).address
			door := partOf(t, after, redis, "broker", "--otlp-endpoint=http://"+freeAddress(t), "--trace-ratio=1")
			bridge := partOf(t, after, redis, "bridge")
			edge := partOf(t, after, redis, "edge")
			older := prove.Fault{
				Name: "an older bridge", Loses: true,
				Break: func(ctx context.Context) error {
					if err := bridge.End(ctx); err != nil {
						return err
					}
					bridge.Become(before)
					if err := bridge.Restart(ctx); err != nil {
						return err
					}
					return until(ctx, "the older bridge to refuse", func() bool {
						said, err := os.ReadFile(bridge.Log())
						return err == nil && bytes.Contains(said, []byte("unknown version"))
					})
				},
				Mend: func(ctx context.Context) error {
					if err := bridge.End(ctx); err != nil {
						return err
					}
					bridge.Become(after)
					return bridge.Restart(ctx)
				},
			}
			o := durable([]string{door.MQTT()}, []string{edge.URL()})
			o.Faults, o.FaultCount = []prove.Fault{older}, 3
			run(t, o)
		})
	}
}

// A directory is gone on with by the newer release, however the older one ended, and by the older one again while nothing is
// in it that it does not know.
func TestADirectoryIsGoneOnWithByAnotherRelease(t *testing.T) {
	for _, old := range releases {
		t.Run(old.name, func(t *testing.T) {
			before, after := old.program(t), gatewayProgram(t)
			g := startProgram(t, before)
			killed := func(program string) prove.Fault {
				f := replace(g, program)
				f.Break = g.Kill
				return f
			}
			o := durable([]string{g.MQTT()}, []string{g.URL()})
			o.Faults = []prove.Fault{inTurn(replace(g, after), replace(g, before), killed(after), killed(before), killed(after), replace(g, before))}
			o.FaultCount = 12
			run(t, o)
		})
	}
}

// A directory with what the older release does not know is refused by it, which names the directory, and is as it was for the newer one.
func TestAnOlderReleaseRefusesADirectoryWithWhatItDoesNotKnow(t *testing.T) {
	for _, old := range strangers {
		t.Run(old.name, func(t *testing.T) {
			before, after := old.program(t), gatewayProgram(t)
			g := startProgram(t, after, "--otlp-endpoint=http://"+freeAddress(t), "--trace-ratio=1")
			tried := prove.Fault{
				Name: "an older release at the directory", Loses: true,
				Break: func(ctx context.Context) error {
					if err := g.Kill(ctx); err != nil { // its log holds entries that nobody applied
						return err
					}
					return refused(ctx, before, filepath.Dir(g.Log())+"/data")
				},
				Mend: g.Restart,
			}
			o := durable([]string{g.MQTT()}, []string{g.URL()})
			o.Faults, o.FaultCount = []prove.Fault{tried}, 3
			run(t, o)
		})
	}
}

// refused is nil where a program does not open a directory, says why, and leaves all files as they are.
func refused(ctx context.Context, program, dir string) error {
	was, err := content(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--data-dir="+dir, "--mqtt-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0").CombinedOutput()
	is, readErr := content(dir)
	switch {
	case readErr != nil:
		return readErr
	case err == nil || ctx.Err() != nil || !strings.Contains(string(out), "read data directory "+dir):
		return fmt.Errorf("the older release ended with %w and said %s", err, out)
	case was != is:
		return fmt.Errorf("the older release changed the directory from %s to %s", was, is)
	}
	return nil
}

// content is what stands in a directory's files.
func content(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s: %d bytes, %x\n", d.Name(), len(text), sha256.Sum256(text))
		return err
	})
	return b.String(), err
}
