package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/nodecache"
)

func (p *program) agentCommand() *cobra.Command {
	var file string
	var printOnly bool
	told := newAgentConfig()
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of this machine: models close by, on its disk, in its memory and on its GPUs",
		Long: `Agent keeps models on this machine, on its disk, in its memory and on its GPUs, until
it is told to stop: SIGTERM or SIGINT let what is under way end, a second one ends
it at once. It fetches only what the machine lacks, and programs on the machine use
what is in memory, or on a GPU, without a copy. It prints one line when it is ready,
and logs to standard error.

Everybody who may write to the socket may use every model of the node. Over TCP one
needs a token of the file that --token-file names, if it names one: "Authorization:
Bearer TOKEN", which clients of Hugging Face send as HF_TOKEN, and ingot's own find
by the same file in INGOT_AGENT_TOKEN_FILE. An address that others can reach is served
only with tokens and --tls-cert, unless --insecure is given. Pages in a browser are
never answered, and neither are names that nobody has allowed.

What a flag can say, a variable and a file can say too: --idle-ram is the variable
INGOT_AGENT_IDLE_RAM and the key idle-ram of the YAML file that --config names. The
file alone says which models the node keeps, as the list models. A flag goes before
a variable, a variable before the file, and the file before the default. A mistake
in any of them ends agent before it begins.

With --json it prints, when it is ready:
  socket    where programs of this machine reach it
  address   where it listens for TCP, with the port that a :0 became; or empty
  url       the same with its scheme, https with --tls-cert; or empty
  admin_address
            where --admin-listen is, or empty
  data      the folder of its data
  name      what it calls itself

With --json --print-config it prints, for each key:
  value     what it is set to
  source    who said so: default, FILE:LINE, environment NAME or flag --NAME`,
		Example: `  ingot agent --registry http://registry:7070
  ingot agent --data /var/lib/ingot --disk 500GiB --ram 64GiB --listen 127.0.0.1:7071
  ingot agent --ram 256GiB --gpu 100GiB --gpu-headroom 8GiB
  ingot agent --print-config > agent.yaml
  ingot agent --config agent.yaml --log-format json`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newAgentConfig()
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
			return p.agent(cmd.Context(), c, logger)
		},
	}
	told.bind(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", "take what flags and variables do not say from this YAML `FILE` (default $"+configVariable+")")
	cmd.Flags().BoolVar(&printOnly, "print-config", false, "print the configuration as such a file, with where each line comes from, and end")
	return cmd
}

// agent runs a node until ctx ends.
func (p *program) agent(ctx context.Context, c *agentConfig, logger *slog.Logger) (err error) {
	told := c.nodeConfig()
	told.Logger = logger
	if told.Access.TLS, err = c.access.tls.server(&c.config, logger); err != nil {
		return err
	}
	node, err := nodecache.Open(told)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	socket, tcp, err := c.listeners(ctx)
	if err != nil {
		return err
	}
	looked, err := openAdmin(c.admin, node.Metrics())
	if err != nil {
		return errors.Join(err, socket.Close(), closeListener(tcp))
	}
	looked.begin()
	defer looked.close()
	if err := p.printAgent(c, tcp, looked.address()); err != nil {
		return errors.Join(err, socket.Close(), closeListener(tcp))
	}
	return node.Serve(ctx, socket, tcp)
}

// listeners returns the socket, and the address if there should be one.
func (c *agentConfig) listeners(ctx context.Context) (socket, tcp net.Listener, err error) {
	socket, err = listenSocket(ctx, c.socket, os.FileMode(c.mode))
	if err != nil || c.listen == "" {
		return socket, nil, err
	}
	tcp, err = net.Listen("tcp", c.listen)
	if err != nil {
		err = fmt.Errorf("agent: %w; choose a free address with --listen", err)
		return nil, nil, errors.Join(err, socket.Close())
	}
	return socket, tcp, nil
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// url is an address with its scheme, if there is one.
func (c *agentConfig) url(address string) string {
	if address == "" {
		return ""
	}
	return c.access.tls.scheme() + "://" + address
}

// printAgent tells whoever waits that the agent can be talked to: connections wait
// in the listeners until it serves.
func (p *program) printAgent(c *agentConfig, tcp net.Listener, admin string) error {
	address := ""
	if tcp != nil {
		address = tcp.Addr().String()
	}
	if p.json {
		return p.printJSON(map[string]string{"socket": c.socket, "address": address, "url": c.url(address), "admin_address": admin, "data": c.node.Data, "name": c.node.Name})
	}
	also := ""
	if address != "" {
		also = " and " + c.url(address)
	}
	p.printf("ingot agent %s serves %s%s, its data in %s\n", c.node.Name, c.socket, also, c.node.Data)
	return nil
}
