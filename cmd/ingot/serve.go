package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/registry"
)

func (p *program) serveCommand() *cobra.Command {
	var file string
	var printOnly bool
	told := newServeConfig()
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a registry",
		Long: `Serve runs a registry until it is told to stop: SIGTERM or SIGINT let what is under
way end, a second one ends it at once. It prints one line when it is ready, and
logs to standard error.

Whoever reaches the address may read and write everything, unless --access tokens says
that they need a token: then the first start prints one that may do everything, with
which "ingot login" and "ingot token create" go on. Only a loopback address is served
without --access tokens and a certificate, unless --insecure is given.

What a flag can say, a variable and a file can say too: --push-ttl is the variable
INGOT_SERVE_PUSH_TTL and the key push-ttl of the YAML file that --config names. A
flag goes before a variable, a variable before the file, and the file before the
default. A mistake in any of them ends serve before it begins.

Everything is kept in one folder, by one process, or with --store in an S3-compatible
store, by any number of them: start one more, or stop one. The store is that of the
variable AWS_ENDPOINT_URL, or AWS itself; "ingot doctor" says whether it is fit.

With --tls-cert and --tls-key it speaks https, and nothing else. A certificate that is
renewed in its files is shown within seconds.

With --json it prints, when it is ready:
  address   where it listens, with the port that a :0 became
  url       the same with its scheme: https with --tls-cert
  admin_address
            where --admin-listen is, or empty
  data      the folder of its data; with --store of what can be lost, if one was named
  store     where its data is: the store, or that folder
  admin_token
            a token that may do everything, if none was good when it started; else empty

With --json --print-config it prints, for each key:
  value     what it is set to
  source    who said so: default, FILE:LINE, environment NAME or flag --NAME`,
		Example: `  ingot serve
  ingot serve --data /srv/ingot --listen 127.0.0.1:8080
  ingot serve --print-config > ingot.yaml
  ingot serve --config ingot.yaml --log-format json`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newServeConfig()
			err := c.load(cmp.Or(file, p.env(configVariable)), p.environ, cmd.Flags())
			logger := p.newLogger(c.log)
			if err == nil {
				err = c.settle(p)
			}
			if err != nil {
				return err
			}
			if printOnly {
				return p.printConfig(&c.config)
			}
			return p.serve(cmd.Context(), c, logger)
		},
	}
	told.bind(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "take what flags and variables do not say from this YAML `FILE` (default $"+configVariable+")")
	cmd.Flags().BoolVar(&printOnly, "print-config", false, "print the configuration as such a file, with where each line comes from, and end")
	return cmd
}

func (p *program) serve(ctx context.Context, c *serveConfig, logger *slog.Logger) error {
	var err error
	if c.registry.TLS, err = c.tls.server(&c.config, logger); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("serve: %w; is another registry running? choose a free address with --listen", err)
	}
	c.registry.Logger = logger
	r, err := registry.Open(ctx, c.registry)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	looked, err := openAdmin(c.admin, r.Metrics())
	if err != nil {
		return errors.Join(err, listener.Close(), r.Close())
	}
	looked.begin()
	defer looked.close()
	if err := p.printReady(listener.Addr().String(), looked.address(), r.AdminToken(), c); err != nil {
		return errors.Join(err, listener.Close(), r.Close())
	}
	return serveRegistry(ctx, r, listener)
}

// serveRegistry serves r until ctx ends, and closes it and the listener.
func serveRegistry(ctx context.Context, r *registry.Registry, listener net.Listener) error {
	return errors.Join(r.Serve(ctx, listener), r.Close())
}

// printReady tells whoever waits that the registry can be talked to: connections
// wait in the listener until it serves.
func (p *program) printReady(address, admin, token string, c *serveConfig) error {
	if p.json {
		return p.printJSON(map[string]string{"address": address, "url": c.tls.scheme() + "://" + address, "admin_address": admin, "data": c.registry.Data, "store": c.place(), "admin_token": token})
	}
	mode := ""
	if c.registry.ReadOnly {
		mode = ", read-only"
	}
	p.printf("ingot serves %s://%s, its data in %s%s\n", c.tls.scheme(), address, c.place(), mode)
	if token != "" {
		p.printf("admin token, shown only now: %s\n", token)
	}
	return nil
}
