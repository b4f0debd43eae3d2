package nodecache

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

// patience is how long a call of the registry is tried again. The node asks again
// itself, and has others to serve meanwhile.
const patience = 10 * time.Second

// Node is an open data folder and what answers for it. It is safe for concurrent
// use.
type Node struct {
	config Config
	client *client.Registry // nil for none
	disk   *disk.Store
	ram    *ram.Tier // nil for none
	engine *node.Node
	api    *nodeapi.API
}

// Open opens the data folder, which it makes if need be, and what is in it. It
// fails at once for a folder that another process has open. The caller closes the
// Node.
func Open(c Config) (*Node, error) {
	n := &Node{config: c.withDefaults()}
	for _, step := range []func() error{n.openClient, n.openTiers, n.openEngine} {
		if err := step(); err != nil {
			return nil, errors.Join(fmt.Errorf("open node: %w", err), n.Close())
		}
	}
	n.api = nodeapi.New(nodeapi.Config{Node: engine{n.engine}, Logger: n.config.Logger, Version: n.config.Version})
	n.config.Logger.Info("node opened", "name", n.config.Name, "data", n.config.Data, "version", n.config.Version)
	return n, nil
}

func (n *Node) openClient() (err error) {
	if n.config.Registry == "" {
		return nil
	}
	n.client, err = client.New(n.config.Registry, client.Options{
		Parallel: n.config.Parallel, Patience: patience, UserAgent: "ingot-agent/" + n.config.Version,
	})
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
		RegistryURL: c.Registry, Wait: c.Wait, IdleRAM: c.IdleRAM, IdleDisk: c.IdleDisk,
		Models: c.models(), Now: time.Now, Logger: c.Logger,
	}
	if n.client != nil {
		told.Registry = n.client
	}
	n.engine, err = node.Open(told)
	return err
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
	return node.Model{Ref: m.Ref, Tier: m.Tier, Watch: m.Watch, Pin: m.Pin, IdleRAM: m.IdleRAM, IdleDisk: m.IdleDisk}
}

// Close closes what Open opened. Nobody may be served any more.
func (n *Node) Close() error {
	var errs []error
	if n.engine != nil {
		errs = append(errs, n.engine.Stop())
	}
	if n.ram != nil {
		errs = append(errs, n.ram.Close())
	}
	if n.disk != nil {
		errs = append(errs, n.disk.Close())
	}
	if n.client != nil {
		n.client.Close()
	}
	return errors.Join(errs...)
}
