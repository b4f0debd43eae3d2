package node

import (
	"cmp"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

// Status says what the node holds now.
func (n *Node) Status() openapi.NodeStatus {
	s := openapi.NodeStatus{Name: n.config.Name, Program: n.config.Program, Started: n.started}
	s.Tiers.Disk = usage(n.disk, n.config.DiskLimits.Bytes, n.config.DiskLimits.Count)
	s.Tiers.Disk.FilesBytes = n.WeighFiles()
	waiting := n.disk.waiting.Load()
	if n.ram != nil {
		s.Tiers.RAM = usage(n.ram, n.config.RAMLimits.Bytes, n.config.RAMLimits.Count)
		waiting += n.ram.waiting.Load()
	}
	s.Waiting = int(waiting)
	n.gpuUsage(&s)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.orphans {
		s.Tiers.RAM.Orphaned += o.segment.Bytes
	}
	s.Registry = n.registry
	s.Damaged, s.Refused, s.Deltas = int64(n.counters.Damaged), int64(n.counters.Refused), n.counters.Deltas
	s.Models = make([]openapi.ModelStatus, 0, len(n.models))
	for _, m := range n.models {
		s.Models = append(s.Models, n.status(m))
	}
	slices.SortFunc(s.Models, func(a, b openapi.ModelStatus) int { return cmp.Compare(a.Ref, b.Ref) })
	return s
}

func usage(s *shelf, budget int64, limit int) openapi.TierUsage {
	return openapi.TierUsage{Used: s.ledger.Used(), Budget: budget, Models: s.ledger.Len(), Limit: limit}
}

// gpuUsage says what the GPUs hold.
func (n *Node) gpuUsage(s *openapi.NodeStatus) {
	s.Tiers.GPU = openapi.GPUUsage{State: n.config.GPUState, Message: n.config.GPUMessage, Devices: []openapi.GPUDevice{}}
	for _, g := range n.config.GPUs {
		u := g.Usage()
		s.Tiers.GPU.Devices = append(s.Tiers.GPU.Devices, u)
		s.Tiers.GPU.Used += u.Used
		s.Tiers.GPU.Budget += u.Budget
		s.Tiers.GPU.Models += u.Models
		s.Waiting += u.Waiting
	}
}

// status says what is known of a model. n.mu is held.
func (n *Node) status(m *model) openapi.ModelStatus {
	s := openapi.ModelStatus{
		Ref: m.Ref.String(), Want: m.hold, Pinned: m.Pin, Watch: m.Watch, LastUse: m.lastUse, State: openapi.ModelAbsent,
	}
	k := m.key(m.current)
	v := n.versions[k]
	if !m.current.IsZero() {
		s.Version, s.Tier = m.current.String(), v.tier()
	}
	if v != nil {
		s.BytesTotal, s.Leases = v.total, v.leases+n.mappings(k)
	}
	for _, g := range n.on(k) {
		own, shared := g.Weigh(k)
		s.Devices = append(s.Devices, g.UUID())
		s.BytesOwn, s.BytesShared, s.State = s.BytesOwn+own, s.BytesShared+shared, openapi.ModelReady
	}
	if shelf := n.shelf(s.Tier); shelf != nil {
		s.State = openapi.ModelReady
		s.BytesOwn, s.BytesShared = shelf.ledger.Weigh(k)
	}
	n.statusOfLoad(m, &s)
	for l := range m.leases {
		s.Old = oldVersion(s.Old, l.key.Digest, m)
	}
	for l := range n.mapped {
		if l.Ref() == m.Ref {
			s.Old = oldVersion(s.Old, l.Version(), m)
		}
	}
	slices.SortFunc(s.Old, func(a, b openapi.OldVersion) int { return cmp.Compare(a.Version, b.Version) })
	switch {
	case m.failed != nil:
		s.Error = m.failed.Error()
		if s.State == openapi.ModelAbsent {
			s.State = openapi.ModelFailed
		}
	case m.deleted:
		s.Error = "the registry has no such tag any more; what the node has of it is served until it is unloaded"
	}
	return s
}

// statusOfLoad tells of a load under way.
func (n *Node) statusOfLoad(m *model, s *openapi.ModelStatus) {
	v := n.versions[m.key(m.target)]
	if v == nil {
		return
	}
	for _, j := range v.jobs {
		s.State, s.BytesDone = openapi.ModelLoading, j.progress.Load()
		s.BytesTotal = cmp.Or(j.total.Load(), s.BytesTotal)
		select {
		case <-j.admitted:
		default:
			s.State = openapi.ModelWaiting
		}
	}
}

// oldVersion counts a lease of another version than the model's.
func oldVersion(old []openapi.OldVersion, d chunker.Digest, m *model) []openapi.OldVersion {
	if d == m.current {
		return old
	}
	text := d.String()
	for i := range old {
		if old[i].Version == text {
			old[i].Leases++
			return old
		}
	}
	return append(old, openapi.OldVersion{Version: text, Leases: 1})
}

// Residents lists what the node holds, for its registry.
func (n *Node) Residents() []openapi.NodeResident {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := []openapi.NodeResident{}
	for _, m := range n.models {
		v := n.versions[m.key(m.current)]
		if v.tier() == openapi.TierNone {
			continue
		}
		list = append(list, openapi.NodeResident{Ref: m.Ref.String(), Version: m.current, Tier: v.tier(), Leases: v.leases + n.mappings(v.key)})
	}
	slices.SortFunc(list, func(a, b openapi.NodeResident) int { return cmp.Compare(a.Ref, b.Ref) })
	return list[:min(len(list), openapi.MaxNodeModels)]
}
