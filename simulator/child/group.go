package child

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
)

// Group is what a command that has ended has left running.
type Group struct{ id int }

// Run runs a command as the first of a group of processes and returns when it has ended, although what it has started may not
// have. Where ctx ends before, all of the group are killed. Otherwise the group must be ended, also where there is an error;
// it may be nil. The command's output goes to files: nobody waits for who holds the other end of a pipe.
func Run(ctx context.Context, cmd *exec.Cmd) (*Group, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	ended := make(chan error, 1)
	if err := Start(cmd, func(err error) { ended <- err }); err != nil {
		return nil, err
	}
	g := &Group{cmd.Process.Pid}
	select {
	case err := <-ended:
		if syscall.Kill(-g.id, 0) != nil { // nobody is left, and the number is free for others
			g.id = 0
		}
		return g, err
	case <-ctx.Done():
		g.End()
		err := <-ended
		return nil, fmt.Errorf("run command: %w", errors.Join(context.Cause(ctx), err))
	}
}

// End kills whoever is left. It may be called of nil.
func (g *Group) End() {
	if g != nil && g.id > 0 {
		_ = syscall.Kill(-g.id, syscall.SIGKILL) // they may have ended
	}
}
