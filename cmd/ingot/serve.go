package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/registry"
)

const defaultListen = "127.0.0.1:7070"

// serveFlags are what serve is told.
type serveFlags struct {
	data     string
	listen   string
	insecure bool
	level    slog.Level
}

func (p *program) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a registry",
		Long: `Serve runs a registry until it is told to stop: SIGTERM or SIGINT let what is under
way end, a second one ends it at once. It prints one line when it is ready, and
logs to standard error.

There is no access control yet: whoever reaches the address may read and write
everything. So only a loopback address is served unless --insecure is given.

With --json it prints, when it is ready:
  address   where it listens, with the port that a :0 became
  data      the folder of its data`,
		Example: `  ingot serve
  ingot serve --data /srv/ingot --listen 127.0.0.1:8080`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "`DIR` of everything the registry keeps (default ingot/registry in the user's data folder)")
	flags.StringVar(&f.listen, "listen", defaultListen, "`HOST:PORT` to listen on")
	flags.BoolVar(&f.insecure, "insecure", false, "allow an address that others can reach, though nothing controls their access")
	flags.TextVar(&f.level, "log-level", slog.LevelInfo, "least `LEVEL` to log: debug, info, warn or error")
	return cmd
}

func (p *program) serve(ctx context.Context, f serveFlags) error {
	if err := checkListen(f.listen, f.insecure); err != nil {
		return err
	}
	data, err := p.dataFolder(f.data)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("serve: %w; is another registry running? choose a free address with --listen", err)
	}
	logger := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: f.level}))
	r, err := openRegistry(data, f.insecure, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := p.printReady(listener.Addr().String(), data); err != nil {
		return errors.Join(err, listener.Close(), r.Close())
	}
	return serveRegistry(ctx, r, listener)
}

// openRegistry opens the registry of a data folder. A nil logger is silence.
func openRegistry(data string, insecure bool, logger *slog.Logger) (*registry.Registry, error) {
	return registry.Open(registry.Config{Data: data, Insecure: insecure, Logger: logger, Version: version})
}

// serveRegistry serves r until ctx ends, and closes it and the listener.
func serveRegistry(ctx context.Context, r *registry.Registry, listener net.Listener) error {
	return errors.Join(r.Serve(ctx, listener), r.Close())
}

// printReady tells whoever waits that the registry can be talked to: connections
// wait in the listener until it serves.
func (p *program) printReady(address, data string) error {
	if p.json {
		return p.printJSON(map[string]string{"address": address, "data": data})
	}
	p.printf("ingot serves http://%s, its data in %s\n", address, data)
	return nil
}

// dataFolder returns the absolute path of the registry's folder.
func (p *program) dataFolder(data string) (string, error) {
	if data == "" {
		below, err := p.folder("XDG_DATA_HOME", filepath.Join(".local", "share"))
		if err != nil {
			return "", usagef("serve: no folder for the data: %v; name one with --data", err)
		}
		data = filepath.Join(below, "registry")
	}
	abs, err := filepath.Abs(data)
	if err != nil {
		return "", fmt.Errorf("serve: --data %s: %w", data, err)
	}
	return abs, nil
}

// checkListen refuses an address that others can reach unless they may.
func checkListen(address string, insecure bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("--listen %.80q: want HOST:PORT, such as %s", address, defaultListen)
	}
	ip := net.ParseIP(host)
	if insecure || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usagef("--listen %s can be reached by others, and there is no access control yet: use %s, or allow it with --insecure", address, defaultListen)
}
