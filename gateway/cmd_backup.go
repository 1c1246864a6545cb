package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/keep"
)

// backupCommand is `gateway backup`.
type backupCommand struct {
	To      string `required:"" help:"File for the backup. It gets the name when it is whole and was read through; one that is there is not replaced. A name that ends in .gz is compressed; - is standard output." placeholder:"FILE"`
	Server  string `name:"admin" help:"Admin address of the running gateway." default:"http://127.0.0.1:8081" env:"FLEETCAST_ADMIN" placeholder:"URL"`
	DataDir string `help:"Data directory: of a gateway of this machine, whose proof is there; or with --stopped what is copied." default:"./data" env:"FLEETCAST_DATA_DIR" placeholder:"DIR"`
	Stopped bool   `help:"No gateway runs: copy the directory itself."`
	CAFile  string `name:"ca-file" help:"PEM file with the authority of the address's certificate." env:"FLEETCAST_CA_FILE" placeholder:"FILE"`
}

// Run makes the backup.
func (c *backupCommand) Run(ctx context.Context, t *terminal) error {
	if c.To == "-" {
		return c.write(ctx, t.out)
	}
	if _, err := os.Lstat(c.To); !errors.Is(err, os.ErrNotExist) {
		return devices.Errorf(devices.Invalid, "to", "%s is there already", c.To)
	}
	temp := c.To + ".part"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600) //nolint:gosec // the path is the argument itself
	if err != nil {
		return fmt.Errorf("make file of the backup: %w", err)
	}
	contents, err := c.fill(ctx, f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, c.To); err != nil {
		return fmt.Errorf("name backup: %w", err)
	}
	_, err = fmt.Fprintf(t.out, "%s has %s\n", c.To, describe(&contents))
	return err
}

// fill writes the backup and reads what was written.
func (c *backupCommand) fill(ctx context.Context, f *os.File) (keep.Contents, error) {
	var to io.WriteCloser = f
	if strings.HasSuffix(c.To, ".gz") {
		to = gzip.NewWriter(f)
	}
	if err := c.write(ctx, to); err != nil {
		return keep.Contents{}, err
	}
	if to != f {
		if err := to.Close(); err != nil {
			return keep.Contents{}, fmt.Errorf("write backup: %w", err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return keep.Contents{}, fmt.Errorf("read backup: %w", err)
	}
	_, contents, err := keep.Verify(f)
	return contents, err
}

// write gets the backup from the running gateway, or makes it of a directory that no gateway has open.
func (c *backupCommand) write(ctx context.Context, to io.Writer) error {
	if c.Stopped {
		return c.copyDirectory(ctx, to)
	}
	running := remote{Server: c.Server, DataDir: c.DataDir, CAFile: c.CAFile}
	res, err := running.send(ctx, http.MethodGet, "/backup", nil, "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(to, res.Body); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return nil
}

func (c *backupCommand) copyDirectory(ctx context.Context, to io.Writer) error {
	from, err := keep.Open(c.DataDir, app.Version(), nil)
	if err != nil {
		return err
	}
	_, err = from.Backup(ctx, to)
	return errors.Join(err, from.Close())
}

func describe(c *keep.Contents) string {
	return fmt.Sprintf("%d devices, %d trails, %d commands and %d records of what people configured", c.Bus.Devices, c.Bus.Trails, c.Bus.Commands, c.Store.Records)
}

// restoreCommand is `gateway restore`.
type restoreCommand struct {
	From    string `required:"" help:"File of the backup; - is standard input." placeholder:"FILE"`
	DataDir string `help:"Directory to fill: missing, or empty." default:"./data" env:"FLEETCAST_DATA_DIR" placeholder:"DIR"`
	Check   bool   `help:"Only read the backup through, and say what it has."`
}

// Run fills the directory.
func (c *restoreCommand) Run(t *terminal) error {
	in := t.in
	if c.From != "-" {
		f, err := os.Open(c.From)
		if err != nil {
			return fmt.Errorf("open backup: %w", err)
		}
		defer f.Close()
		in = f
	}
	if c.Check {
		m, contents, err := keep.Verify(in)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "made %s by %s, with %s\n", m.Made, m.Version, describe(&contents))
		return err
	}
	m, contents, err := keep.Restore(c.DataDir, in)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s has what was kept on %s: %s. Viewers that come back get a reset.\n", c.DataDir, m.Made, describe(&contents))
	return err
}
