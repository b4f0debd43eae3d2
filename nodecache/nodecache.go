package nodecache

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/files"
	"github.com/ingot-ml/ingot/nodecache/internal/hubnode"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/registry/hub"
)

// patience is how long a call of the registry is tried again. The node asks again
// itself, and has others to serve meanwhile.
const patience = 10 * time.Second

// shortPatience is the same for those whom the node can answer without the registry.
const shortPatience = 2 * time.Second

// Node is an open data folder and what answers for it. It is safe for concurrent
// use.
type Node struct {
	config Config
	client *client.Registry // nil for none
	quick  *client.Registry // the same, with little patience
	disk   *disk.Store
	ram    *ram.Tier // nil for none
	gpus   gpus
	engine *node.Node
	source *hubnode.Source
	files  atomic.Pointer[files.Keeper] // nil until it is open
	api    *nodeapi.API
}

// Open opens the data folder, which it makes if need be, and what is in it. It
// fails at once for a folder that another process has open. The caller closes the
// Node.
func Open(c Config) (*Node, error) {
	n := &Node{config: c.withDefaults()}
	for _, step := range []func() error{n.openClient, n.openTiers, n.openGPUs, n.openEngine, n.openFiles} {
		if err := step(); err != nil {
			return nil, errors.Join(fmt.Errorf("open node: %w", err), n.Close())
		}
	}
	n.api = nodeapi.New(nodeapi.Config{
		Node: engine{n.engine, n.files.Load()}, Logger: n.config.Logger, Version: n.config.Version, Guard: n.config.newGuard(),
		Views: []nodeapi.View{{Owns: hub.Owns, Handler: newHub(n.source, n.config.Logger)}},
	})
	n.config.Logger.Info("node opened", "name", n.config.Name, "data", n.config.Data, "version", n.config.Version)
	return n, nil
}

func (n *Node) openClient() (err error) {
	if n.config.Registry == "" {
		return nil
	}
	a := n.config.Access
	o := client.Options{
		Parallel: n.config.Parallel, Patience: patience, UserAgent: "ingot-agent/" + n.config.Version,
		Token: a.Token, Insecure: a.Insecure, TLS: a.Authorities,
	}
	if n.client, err = client.New(n.config.Registry, o); err != nil {
		return err
	}
	o.Patience = shortPatience
	n.quick, err = client.New(n.config.Registry, o)
	return err
}

func (n *Node) openTiers() (err error) {
	form := disk.Plain
	if n.config.Encoded {
		form = disk.Encoded
	}
	n.disk, err = disk.Open(disk.Config{Dir: filepath.Join(n.config.Data, "disk"), Budget: n.config.Disk, Form: form, Logger: n.config.Logger})
	if err != nil || n.config.RAM == 0 {
		return err
	}
	n.ram, err = ram.Open(ram.Config{Budget: n.config.RAM, Huge: n.config.Huge})
	return err
}

func (n *Node) openEngine() (err error) {
	c := n.config
	told := node.Config{
		Name: c.Name, Program: c.Version, Disk: n.disk, RAM: n.ram,
		DiskLimits: ledger.Limits{Bytes: c.Disk, Count: c.DiskModels},
		RAMLimits:  ledger.Limits{Bytes: c.RAM, Count: c.RAMModels},
		High:       c.Disk / 100 * int64(c.High), Low: c.Disk / 100 * int64(c.Low),
		GPUState: n.gpus.state, GPUMessage: n.gpus.message,
		Trust: n.gate(), RegistryURL: c.Registry, Wait: c.Wait, IdleGPU: c.IdleGPU, IdleRAM: c.IdleRAM, IdleDisk: c.IdleDisk,
		Models: c.models(), DropFiles: n.dropFiles, Moved: n.moved, Now: time.Now, Logger: c.Logger,
	}
	if n.client != nil {
		told.Registry, told.Look = n.client, n.quick.Resolve
	}
	for _, d := range n.gpus.devices {
		told.GPUs = append(told.GPUs, d)
	}
	if n.engine, err = node.Open(told); err != nil {
		return err
	}
	n.gpus.herald.open(n.engine)
	n.source = n.newSource()
	return nil
}

// models are those that have a reference of their own.
func (c Config) models() (list []node.Model) {
	for _, m := range c.Models {
		if m.Match == "" {
			list = append(list, m.model())
		}
	}
	return list
}

func (m Model) model() node.Model {
	return node.Model{
		Ref: m.Ref, Tier: m.Tier, Device: m.Device, Watch: m.Watch, Pin: m.Pin,
		IdleGPU: m.IdleGPU, IdleRAM: m.IdleRAM, IdleDisk: m.IdleDisk,
	}
}

// Metrics answers what the node counts, in the form of Prometheus. Whoever serves it
// decides who can reach it.
func (n *Node) Metrics() http.Handler { return n.api.Metrics() }

// Close closes what Open opened. Nobody may be served any more.
func (n *Node) Close() error {
	var errs []error
	if k := n.files.Load(); k != nil {
		errs = append(errs, k.Close())
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Stop())
	}
	errs = append(errs, n.gpus.close()) // which read the RAM
	if n.ram != nil {
		errs = append(errs, n.ram.Close())
	}
	if n.disk != nil {
		errs = append(errs, n.disk.Close())
	}
	for _, c := range []*client.Registry{n.client, n.quick} {
		if c != nil {
			c.Close()
		}
	}
	return errors.Join(errs...)
}
