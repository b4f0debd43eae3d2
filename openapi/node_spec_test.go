package openapi_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
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
	"SwapRequest":   openapi.SwapRequest{},
	"SwapReceipt":   openapi.SwapReceipt{},
	"UnloadRequest": openapi.UnloadRequest{},
	"UnloadReceipt": openapi.UnloadReceipt{},
	"Freed":         openapi.UnloadReceipt{}.Freed,
	"PinRequest":    openapi.PinRequest{},

	"MaterializeRequest": openapi.MaterializeRequest{},
	"MaterializeReceipt": openapi.MaterializeReceipt{},
	"ModelFiles":         openapi.ModelFiles{},
	"NodeStatus":         openapi.NodeStatus{},
	"DeltaTotals":        openapi.DeltaTotals{},
	"RegistryState":      openapi.RegistryState{},
	"TierUsages":         openapi.TierUsages{},
	"TierUsage":          openapi.TierUsage{},
	"GPUUsage":           openapi.GPUUsage{},
	"GPUDevice":          openapi.GPUDevice{},
	"ModelStatus":        openapi.ModelStatus{},
	"OldVersion":         openapi.OldVersion{},
	"NodeEvent":          openapi.NodeEvent{},
	"LeaseFrame":         openapi.LeaseFrame{},
	"LeaseRequest":       openapi.LeaseRequest{},
	"LeaseSlab":          openapi.LeaseSlab{},
	"LeaseImage":         openapi.LeaseImage{},
	"ImageTensor":        openapi.ImageTensor{},
	"LeasePause":         openapi.LeasePause{},
	"LeaseAcquire":       openapi.LeaseAcquire{},
	"LeaseDeclare":       openapi.LeaseDeclare{},
	"LeaseSegment":       openapi.LeaseSegment{},
	"LeaseLayout":        openapi.LeaseLayout{},
	"LeaseFile":          openapi.LeaseFile{},
	"LeaseTensor":        openapi.LeaseTensor{},
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
	var tiers, states []any
	for _, tier := range append([]openapi.Tier{openapi.TierNone}, openapi.Tiers...) {
		tiers = append(tiers, tier.String())
	}
	for _, s := range []string{
		openapi.ModelAbsent, openapi.ModelWaiting, openapi.ModelLoading, openapi.ModelReady, openapi.ModelFailed,
	} {
		states = append(states, s)
	}
	events := []any{
		openapi.EventLoading, openapi.EventLoaded, openapi.EventFailed, openapi.EventSwitched, openapi.EventDropped,
		openapi.EventLeased, openapi.EventReleased, openapi.EventDamaged, openapi.EventRegistry, openapi.EventSwapped,
		openapi.EventPaused, openapi.EventGPU,
	}
	gpus := []any{openapi.GPUOff, openapi.GPUNoLibrary, openapi.GPUNoDriver, openapi.GPUNoDevice, openapi.GPUReady}
	devices := []any{openapi.DeviceReady, openapi.DeviceStarting, openapi.DeviceFailed}
	kinds := []any{openapi.SwapResident, openapi.SwapLoad, openapi.SwapInPlace, openapi.SwapRemap}
	for _, c := range []struct {
		what      string
		got, want []any
	}{
		{"Tier", schemas["Tier"].Value.Enum, tiers},
		{"ModelStatus.state", schemas["ModelStatus"].Value.Properties["state"].Value.Enum, states},
		{"NodeEvent.type", schemas["NodeEvent"].Value.Properties["type"].Value.Enum, events},
		{"GPUUsage.state", schemas["GPUUsage"].Value.Properties["state"].Value.Enum, gpus},
		{"GPUDevice.state", schemas["GPUDevice"].Value.Properties["state"].Value.Enum, devices},
		{"SwapReceipt.kind", schemas["SwapReceipt"].Value.Properties["kind"].Value.Enum, kinds},
		{"LeasePause.reason", schemas["LeasePause"].Value.Properties["reason"].Value.Enum, []any{openapi.PauseSwap, openapi.PauseRoom}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q in the specification, %q in the code", c.what, c.got, c.want)
		}
	}
}

// TestFramesMatchNodeSpec: each type of frame is named where the types are listed.
func TestFramesMatchNodeSpec(t *testing.T) {
	about := loadSpec(t, openapi.NodeSpec).Components.Schemas["LeaseFrame"].Value.Properties["type"].Value.Description
	var types []string
	for i, part := range strings.Split(about, "`") {
		if i%2 == 1 { // between two of them
			types = append(types, part)
		}
	}
	slices.Sort(types)
	want := []string{
		openapi.FrameLease, openapi.FrameDeclare, openapi.FrameWaiting, openapi.FrameSegments, openapi.FrameLayout,
		openapi.FrameTensor, openapi.FrameFile, openapi.FrameAck, openapi.FrameDone, openapi.FrameMoved,
		openapi.FrameHeld, openapi.FrameError, openapi.FrameSlabs, openapi.FrameImage, openapi.FramePause,
		openapi.FramePaused, openapi.FrameDetach, openapi.FrameAcquire, openapi.FrameDetached, openapi.FrameDenied, openapi.FrameLost,
	}
	slices.Sort(want)
	if got := slices.Compact(types); !slices.Equal(got, want) {
		t.Errorf("%q in the specification, %q in the code", got, want)
	}
}
