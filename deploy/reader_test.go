package deploy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A reader types the commands of a document.
type reader struct {
	dir               string
	mqtt, http, admin string
	atEnd             func(func()) // of the document
}

// curlTimedOut is what curl says when -m ended a stream, which is how a document ends one.
const curlTimedOut = 28

// run runs a command to its end, or starts it where it is one that serves.
func (r *reader) run(t *testing.T, command string) {
	t.Helper()
	name := strings.Fields(command)[0]
	if !strings.HasPrefix(name, "bin/") && name != "echo" && name != "source" { // those are the shell's own
		find(t, name)
	}
	served, isBackground := strings.CutSuffix(command, " &")
	isServer := regexp.MustCompile(`^bin/gateway( --.*)?$|^make run$`).MatchString(served)
	switch {
	case isServer && (isBackground || command == "bin/gateway"): // for what comes after it
		r.serve(t, served, r.addresses())
	case isServer: // it is only tried
		stop := r.serve(t, command, []string{"FLEETCAST_MQTT_LISTEN=127.0.0.1:0", "FLEETCAST_HTTP_LISTEN=127.0.0.1:0", "FLEETCAST_ADMIN_LISTEN=none", "FLEETCAST_DATA_DIR=" + t.TempDir()})
		stop()
	case isBackground:
		r.start(t, r.adapt(served), nil)
	default:
		r.finish(t, r.adapt(command))
	}
}

func (r *reader) addresses() []string {
	return []string{"FLEETCAST_MQTT_LISTEN=127.0.0.1:" + r.mqtt, "FLEETCAST_HTTP_LISTEN=127.0.0.1:" + r.http, "FLEETCAST_ADMIN_LISTEN=127.0.0.1:" + r.admin}
}

// adapt aims a command at this reader's ports and makes its load small.
func (r *reader) adapt(command string) string {
	if strings.HasPrefix(command, "bin/simulator size") { // it only computes
		return command
	}
	command = strings.NewReplacer(
		"127.0.0.1:8080", "127.0.0.1:"+r.http, "127.0.0.1:1883", "127.0.0.1:"+r.mqtt, "127.0.0.1:8081", "127.0.0.1:"+r.admin,
		" -m 3 ", " -m 1 ", "mosquitto_pub ", "mosquitto_pub -p "+r.mqtt+" ", "curl ", "curl -sS --fail-with-body ",
		"broker:1883", "127.0.0.1:"+r.mqtt, "--kill-every 5s --kills 10", "--kill-every 1s --kills 1 --for 0 --devices 5",
		"bin/gateway doctor", strings.Join(r.addresses(), " ")+" bin/gateway doctor", // beside the one that serves
		"simulator fleet", "simulator fleet --mqtt 127.0.0.1:"+r.mqtt, "simulator watch", "simulator watch --url http://127.0.0.1:"+r.http+"/stream/assets",
	).Replace(command)
	if strings.Contains(command, " --mqtt 127.0.0.1:"+r.mqtt) && strings.Count(command, "--mqtt ") > 1 {
		command = strings.Replace(command, " --mqtt 127.0.0.1:"+r.mqtt, "", 1)
	}
	if strings.Count(command, "--url ") > 1 {
		command = strings.Replace(command, " --url http://127.0.0.1:"+r.http+"/stream/assets", "", 1)
	}
	command = regexp.MustCompile(`--for \d+[smh]`).ReplaceAllString(command, "--for 1s")
	command = regexp.MustCompile(`--devices \d\d+`).ReplaceAllString(command, "--devices 20")
	return regexp.MustCompile(`--viewers \d\d+`).ReplaceAllString(command, "--viewers 5")
}

func (r *reader) command(ctx context.Context, command string, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = r.dir
	if strings.HasPrefix(command, "make ") {
		cmd.Dir = root
	}
	cmd.Env = append(os.Environ(), append(env, "FLEETCAST_SERVER=http://127.0.0.1:"+r.http, "FLEETCAST_ADMIN=http://127.0.0.1:"+r.admin, "TOKEN=not asked for in open mode")...)
	return cmd
}

// finish runs a command to its end. What it asks for may take a window to appear, so a failure is tried again for a while.
func (r *reader) finish(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	isQuiet := strings.HasPrefix(command, "mosquitto_pub") || strings.Contains(command, " > ")
	for tries := 0; ; tries++ {
		out, err := r.command(ctx, command, nil).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == curlTimedOut && strings.Contains(command, " -m ") {
			err = nil
		}
		if err == nil {
			if len(out) == 0 && !isQuiet {
				t.Errorf("%s says nothing", command)
			}
			return
		}
		if tries == 50 || ctx.Err() != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		<-tick.C
	}
}

// serve starts a gateway and waits until it says where its page is.
func (r *reader) serve(t *testing.T, command string, env []string) (stop func()) {
	t.Helper()
	out, end := r.start(t, command, env)
	until(t, command+": its page", func() bool { return strings.Contains(out(), "page ") })
	return func() {
		end()
		if strings.Contains(out(), "level=ERROR") {
			t.Errorf("%s said:\n%s", command, out())
		}
	}
}

// start runs a command beside the others until stop or the end of the document, which press Ctrl-C.
func (r *reader) start(t *testing.T, command string, env []string) (out func() string, stop func()) {
	t.Helper()
	cmd := r.command(context.WithoutCancel(t.Context()), command, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the signal reaches make's child too, as from a terminal
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // fails where it has ended
		_ = cmd.Wait()                                     // make reports that its recipe was interrupted
	})
	r.atEnd(func() {
		stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", command, said.String())
		}
	})
	return said.String, stop
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
