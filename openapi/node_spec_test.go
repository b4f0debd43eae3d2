package openapi_test

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// nodeTypes names the Go type of every JSON document in node.yaml.
var nodeTypes = map[string]any{
	"ErrorBody":     openapi.ErrorBody{},
	"Error":         openapi.Error{},
	"Health":        openapi.Health{},
	"LoadRequest":   openapi.LoadRequest{},
	"Sources":       openapi.Sources{},
	"Phases":        openapi.Phases{},
	"LoadReceipt":   openapi.LoadReceipt{},
	"UnloadRequest": openapi.UnloadRequest{},
	"UnloadReceipt": openapi.UnloadReceipt{},
	"Freed":         openapi.UnloadReceipt{}.Freed,
	"PinRequest":    openapi.PinRequest{},
	"NodeStatus":    openapi.NodeStatus{},
	"RegistryState": openapi.RegistryState{},
	"TierUsages":    openapi.TierUsages{},
	"TierUsage":     openapi.TierUsage{},
	"ModelStatus":   openapi.ModelStatus{},
	"OldVersion":    openapi.OldVersion{},
	"NodeEvent":     openapi.NodeEvent{},
	"LeaseFrame":    openapi.LeaseFrame{},
	"LeaseRequest":  openapi.LeaseRequest{},
	"LeaseDeclare":  openapi.LeaseDeclare{},
	"LeaseSegment":  openapi.LeaseSegment{},
	"LeaseLayout":   openapi.LeaseLayout{},
	"LeaseFile":     openapi.LeaseFile{},
	"LeaseTensor":   openapi.LeaseTensor{},
}

// TestNodeCodesMatchSpec: a node uses some of the codes, with the statuses that
// they have everywhere.
func TestNodeCodesMatchSpec(t *testing.T) {
	s := loadSpec(t, openapi.NodeSpec).Components.Schemas["Error"].Value.Properties["code"].Value
	status, _ := s.Extensions["x-status"].(map[string]any)
	var named []string
	for _, c := range s.Enum {
		code := openapi.Code(c.(string))
		named = append(named, string(code))
		if !slices.Contains(codes, code) {
			t.Errorf("%s is not in the table of codes", code)
		}
		if got := jsonText(t, status[string(code)]); got != strconv.Itoa(code.Status()) {
			t.Errorf("%s: status %s in the specification, %d in the code", code, got, code.Status())
		}
	}
	slices.Sort(named)
	if got := slices.Sorted(maps.Keys(status)); !slices.Equal(got, named) {
		t.Errorf("x-status is of %q, the codes are %q", got, named)
	}
}

// TestEnumsMatchNodeSpec compares the words that stand in both.
func TestEnumsMatchNodeSpec(t *testing.T) {
	schemas := loadSpec(t, openapi.NodeSpec).Components.Schemas
	var tiers, states, events []any
	for _, tier := range append([]openapi.Tier{openapi.TierNone}, openapi.Tiers...) {
		tiers = append(tiers, tier.String())
	}
	for _, s := range []string{
		openapi.ModelAbsent, openapi.ModelWaiting, openapi.ModelLoading, openapi.ModelReady, openapi.ModelFailed,
	} {
		states = append(states, s)
	}
	for _, s := range []string{
		openapi.EventLoading, openapi.EventLoaded, openapi.EventFailed, openapi.EventSwitched, openapi.EventDropped,
		openapi.EventLeased, openapi.EventReleased, openapi.EventDamaged, openapi.EventRegistry,
	} {
		events = append(events, s)
	}
	for _, c := range []struct {
		what      string
		got, want []any
	}{
		{"Tier", schemas["Tier"].Value.Enum, tiers},
		{"ModelStatus.state", schemas["ModelStatus"].Value.Properties["state"].Value.Enum, states},
		{"NodeEvent.type", schemas["NodeEvent"].Value.Properties["type"].Value.Enum, events},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q in the specification, %q in the code", c.what, c.got, c.want)
		}
	}
}
