package integration_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/openapi"
)

// crashed is what the agents follow: 19 MiB, of which a variant changes a quarter.
const crashed = "crash/model:prod"

var crashedSpec = synth.Spec{Layers: 12, Hidden: 256, KV: 64, FF: 704, Vocab: 2048, DType: chunker.BF16, Seed: 3}

// The budgets of an agent that may crash: a few variants, and memory for what
// former agents leave to readers.
const (
	crashedDisk = 40 << 20
	crashedRAM  = 96 << 20
)

// agentCrash moves a tag that two agents follow, and kills what is on the way.
type agentCrash struct {
	*registry
	rand   *rand.Rand
	known  string // what versions hold
	newest string
	nodes  []*crashNode
	count  struct{ agents, registries, readers, checks, busy int }
}

// crashNode is an agent and the processes that read from it.
type crashNode struct {
	*node
	readers []*reader
}

// agentRounds is how often the loop below publishes a variant and kills something:
// a few times in every run, fifty times with "make crash".
func agentRounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("INGOT_CRASH_AGENT_ROUNDS"), "3"))
	if err != nil || n < 1 {
		t.Fatalf("INGOT_CRASH_AGENT_ROUNDS: want a number from 1: %v", err)
	}
	return n
}

// TestAgentCrash follows a tag on two agents while readers use what it was and is.
// Agents, the registry and readers are killed at random moments. No reader sees a
// wrong byte, not even of an agent that is dead; no tier exceeds its budget; and in
// the end everybody has the newest version, and nothing else is in use.
func TestAgentCrash(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &agentCrash{registry: serve(t), rand: rand.New(rand.NewPCG(seed, 0)), known: t.TempDir()}
	c.publish(0)
	for range 2 {
		file := fmt.Sprintf("models: [{ref: %q, tier: ram, watch: true}]\npoll: 1s\n", crashed)
		n := &crashNode{node: c.node(file, "--disk", strconv.Itoa(crashedDisk), "--ram", strconv.Itoa(crashedRAM))}
		n.readers = []*reader{n.reader(c.known), n.reader(c.known)}
		c.nodes = append(c.nodes, n)
	}
	c.converge()
	for i := range agentRounds(t) {
		c.round(i + 1)
		if t.Failed() {
			for _, n := range c.nodes {
				n.kill()
				t.Logf("agent in %s:\n%s", n.dir, n.log)
			}
			t.Fatalf("after round %d", i+1)
		}
	}
	c.finish()
	t.Logf("killed %d agents, %d registries and %d readers; read everything %d times, and had no room %d times",
		c.count.agents, c.count.registries, c.count.readers, c.count.checks, c.count.busy)
}

// publish pushes a variant and moves the tag to it. What it holds is known before
// anybody can lease it.
func (c *agentCrash) publish(i int) {
	c.t.Helper()
	at := c.rand.IntN(10)
	dir := weightsOf(c.t, crashedSpec, synth.ChangeLayers(uint64(1000+i), at, at+1, at+2))
	name := fmt.Sprintf("round-%d", i)
	pushed := c.push(dir, "crash/model:"+name)
	remember(c.t, c.known, pushed.Digest, sumsOf(c.t, dir))
	if out, err := c.command("tag", "crash/model:"+name, "prod").CombinedOutput(); err != nil {
		c.t.Fatalf("move the tag: %v\n%s", err, out)
	}
	c.newest = pushed.Digest
	_ = os.RemoveAll(dir) // it is in the test's own folder
}

func (c *agentCrash) round(i int) {
	c.t.Helper()
	for _, n := range c.nodes {
		c.use(n)
	}
	c.publish(i)
	time.Sleep(time.Duration(c.rand.Int64N(int64(300 * time.Millisecond))))
	c.budgets()
	c.crash()
	if c.rand.IntN(2) == 0 {
		c.converge()
	}
}

// use has the readers of a node lease what is served now. They keep what they had
// for a while, which may be of an agent that is long gone.
func (c *agentCrash) use(n *crashNode) {
	c.t.Helper()
	for _, r := range n.readers {
		if r.leases > c.rand.IntN(3) {
			r.closeOldest()
		}
		if _, reason := r.lease(crashed); reason != "" {
			c.t.Logf("no lease: %s", reason)
			c.count.busy++
			n.closeOldest()
		}
	}
}

// closeOldest has every reader let go what it has had for the longest time.
func (n *crashNode) closeOldest() {
	n.t.Helper()
	for _, r := range n.readers {
		r.closeOldest()
	}
}

// crash kills some of all processes, and starts them again.
func (c *agentCrash) crash() {
	c.t.Helper()
	var dead []*crashNode
	noRegistry := c.rand.IntN(3) == 0
	if noRegistry {
		c.kill()
		c.count.registries++
	}
	for _, n := range c.nodes {
		if c.rand.IntN(2) == 0 {
			n.kill()
			c.count.agents++
			dead = append(dead, n)
		}
	}
	if n := c.nodes[c.rand.IntN(2)]; c.rand.IntN(4) == 0 {
		n.readers[0].kill()
		c.count.readers++
		n.readers[0] = n.reader(c.known)
	}
	c.checkAll()
	if noRegistry && c.rand.IntN(2) == 0 {
		c.start()
		noRegistry = false
	}
	for _, n := range dead {
		n.start()
	}
	if noRegistry {
		c.start()
	}
	c.checkAll()
}

// checkAll has all readers read all that they have, and holds the budgets.
func (c *agentCrash) checkAll() {
	c.t.Helper()
	for _, n := range c.nodes {
		for _, r := range n.readers {
			r.check()
			c.count.checks++
		}
	}
	c.budgets()
}

// converge waits until all agents serve the newest version from memory. Where
// readers of former agents have all the room, they are asked to let go.
func (c *agentCrash) converge() {
	c.t.Helper()
	for _, n := range c.nodes {
		began := time.Now()
		n.until("it serves the newest version", func() error {
			c.budgets()
			m := n.model(crashed)
			if m.Version == c.newest && m.Tier == openapi.TierRAM {
				return nil
			}
			if time.Since(began) > 10*time.Second {
				began = time.Now()
				n.closeOldest()
			}
			return fmt.Errorf("it is %+v", m)
		})
	}
}

// budgets holds the tiers to their budgets: as the agents tell it, as the folders
// are, and as the memory is that agents and readers have.
func (c *agentCrash) budgets() {
	c.t.Helper()
	for _, n := range c.nodes {
		if used := diskUsage(c.t, n.path("data")); used > crashedDisk {
			c.t.Errorf("the folder has %d bytes, the budget is %d", used, crashedDisk)
		}
		used := n.memory()
		for range 3 { // one look at several processes is not of one moment
			if used > crashedRAM {
				used = min(used, n.memory())
			}
		}
		if used > crashedRAM {
			c.t.Errorf("there are %d bytes of memory, the budget is %d", used, crashedRAM)
		}
		if n.cmd == nil {
			continue
		}
		tiers := n.status().Tiers
		if tiers.Disk.Used > crashedDisk || tiers.RAM.Used > crashedRAM || tiers.RAM.Orphaned > tiers.RAM.Used {
			c.t.Errorf("status says %+v", tiers)
		}
	}
}

// memory is what the node's processes have of models.
func (n *crashNode) memory() (bytes int64) {
	n.t.Helper()
	var pids []int
	if n.cmd != nil {
		pids = append(pids, n.cmd.Process.Pid)
	}
	for _, r := range n.readers {
		pids = append(pids, r.cmd.Process.Pid)
	}
	all := map[memory]int64{}
	for _, pid := range pids {
		found, err := memories(pid)
		if err != nil {
			n.t.Error(err)
		}
		maps.Copy(all, found)
	}
	for _, b := range all {
		bytes += b
	}
	return bytes
}

// finish lets go everything but the newest version.
func (c *agentCrash) finish() {
	c.t.Helper()
	c.publish(0)
	for _, n := range c.nodes {
		for _, r := range n.readers {
			for r.leases > 0 {
				r.closeOldest()
			}
		}
	}
	c.converge()
	for _, n := range c.nodes {
		n.until("nothing but the newest version is in memory", func() error {
			s := n.status()
			if m := n.model(crashed); s.Tiers.RAM.Orphaned != 0 || m.Leases != 0 || len(m.Old) != 0 ||
				s.Tiers.RAM.Used != m.BytesOwn+m.BytesShared || n.memory() != s.Tiers.RAM.Used {
				return fmt.Errorf("%d bytes of memory, tiers %+v, model %+v", n.memory(), s.Tiers, m)
			}
			return nil
		})
		version, reason := n.readers[0].lease(crashed)
		if version != c.newest {
			c.t.Errorf("the last lease is of %q (%s), want %s", version, reason, c.newest)
		}
	}
	c.checkAll()
}
