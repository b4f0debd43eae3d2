package node

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// orphan is a segment of a former agent that clients still map. Its memory counts
// until the last of them has let it go.
type orphan struct {
	segment Orphan
	pids    map[int]string     // processes that had a lease and have not come back, and when they began
	held    map[*Declared]bool // by clients that have come back
}

// Declared is memory of a former agent that a client still maps, until Release.
type Declared struct {
	node  *Node
	ref   name.Ref
	pid   int
	moved mailbox
}

// clientState is a client process and the segments that its leases use.
type clientState struct {
	PID int `json:"pid"`
	// Began is as the kernel says it: another process of that number began at
	// another time.
	Began    string         `json:"began"`
	Segments []segmentState `json:"segments"`
}

// segmentState is a segment as the kernel knows it.
type segmentState struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Bytes  int64  `json:"bytes"`
}

// user is a process and what it uses: the segments of a lease, or else one of a
// former agent.
type user struct {
	pid     int
	lease   *Lease
	segment segmentState
}

// clients lists who uses what, for the next agent. It asks the system, so no lock
// is held.
func clients(users []user) []clientState {
	of := map[int]map[segmentState]bool{}
	for _, u := range users {
		segments := []segmentState{u.segment}
		if u.lease != nil {
			segments = u.lease.segments()
		}
		for _, s := range segments {
			if of[u.pid] == nil {
				of[u.pid] = map[segmentState]bool{}
			}
			of[u.pid][s] = true
		}
	}
	list := []clientState{}
	for pid, segments := range of {
		c := clientState{PID: pid, Began: began(pid)}
		for s := range segments {
			c.Segments = append(c.Segments, s)
		}
		if c.Began != "" {
			list = append(list, c)
		}
	}
	return list
}

// segments returns the segments that a lease of a whole version uses, as the
// kernel knows them: none when it has ended.
func (l *Lease) segments() []segmentState {
	if l.used == nil {
		l.used = map[uint64]bool{}
		for _, c := range l.manifest.Chunks {
			if id, _, _, ok := l.domain().Place(c.Digest); ok {
				l.used[id] = true
			}
		}
	}
	var list []segmentState
	for id := range l.used {
		s, err := l.Segment(id)
		if err != nil {
			continue
		}
		var stat unix.Stat_t
		if unix.Fstat(int(s.File.Fd()), &stat) == nil {
			list = append(list, segmentState{stat.Dev, stat.Ino, stat.Blocks * 512})
		}
	}
	return list
}

// began returns when a process of this machine began, in the kernel's words;
// empty for one that is not there.
func began(pid int) string {
	if pid <= 0 {
		return ""
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the name in brackets, which may hold anything.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const starttime = 19 // of the fields after the name
	if len(fields) <= starttime || fields[0] == "Z" {
		return ""
	}
	return fields[starttime]
}

// restoreClients counts the memory that clients of a former agent still map.
func (n *Node) restoreClients(clients []clientState) {
	if n.ram == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range clients {
		if c.Began == "" || began(c.PID) != c.Began {
			continue
		}
		for _, s := range c.Segments {
			n.orphan(Orphan(s)).pids[c.PID] = c.Began
		}
	}
}

// name is how the account calls an orphan.
func (o Orphan) name() string {
	return fmt.Sprintf("memory of a former agent that a client still has (device %d, inode %d)", o.Device, o.Inode)
}

// orphan returns the record of a segment, and counts it. n.mu is held.
func (n *Node) orphan(s Orphan) *orphan {
	o := n.orphans[s.name()]
	if o == nil {
		o = &orphan{pids: map[int]string{}, held: map[*Declared]bool{}}
		n.orphans[s.name()] = o
	}
	if s != o.segment {
		o.segment = s
		n.ram.ledger.Hold(s.name(), s.Bytes)
	}
	return o
}

// Declare notes that a client still has segments of a former agent. If the
// reference has another version now, the client hears of that as a lease does.
func (n *Node) Declare(_ context.Context, d openapi.LeaseDeclare, segments []Orphan, pid int) (*Declared, error) {
	what := "declare a lease of " + d.Ref
	if n.ram == nil {
		return nil, noTier(what, openapi.TierRAM)
	}
	ref, err := name.ParseRef(d.Ref)
	if err != nil {
		return nil, openapi.Errorf(openapi.CodeBadName, "%s: %v", what, err)
	}
	said := &Declared{node: n, ref: ref, pid: pid, moved: newMailbox()}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range segments {
		o := n.orphan(s)
		o.held[said] = true
		delete(o.pids, pid)
	}
	if m := n.models[ref]; m != nil && !m.current.IsZero() {
		m.declared[said] = true
		if m.current != d.Version {
			said.moved.tell(ref, Move{Version: m.current})
		}
	}
	n.dirty.Ring()
	return said, nil
}

// Moved is as that of a Lease.
func (d *Declared) Moved() <-chan Move { return d.moved }

// Release is for a client that has let go what it declared. It may be called
// again.
func (d *Declared) Release() {
	n := d.node
	n.mu.Lock()
	for _, o := range n.orphans {
		delete(o.held, d)
	}
	if m := n.models[d.ref]; m != nil {
		delete(m.declared, d)
	}
	n.mu.Unlock()
	n.reapOrphans()
	n.dirty.Ring()
}

// reapOrphans stops counting memory that nobody has any more.
func (n *Node) reapOrphans() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, o := range n.orphans {
		for pid, at := range o.pids {
			if began(pid) != at || !holds(pid, o.segment) {
				delete(o.pids, pid)
			}
		}
		if len(o.pids)+len(o.held) == 0 {
			delete(n.orphans, key)
			n.ram.unhold(key)
		}
	}
}
