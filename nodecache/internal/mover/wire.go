package mover

import (
	"errors"
	"fmt"
	"math"

	"github.com/ingot-ml/ingot/cuda"
)

const (
	maxFrame = 1 << 20 // bytes of JSON, either way
	maxList  = 4096    // copies or ranges in a frame
	// ahead is how many frames of copies may be on the way that the mover has not
	// begun with: enough for it never to wait for the next.
	ahead = 2
)

// What the agent says.
const (
	askSegment = "segment" // with a descriptor
	askForget  = "forget"
	askPin     = "pin"
	askUnpin   = "unpin"
	askSlab    = "slab" // with a descriptor
	askDrop    = "drop"
	askMemory  = "memory"
	askCopy    = "copy" // as many frames as it takes, all but the last with More
	askSum     = "sum"
	askCancel  = "cancel" // the copies of that ID
)

// What the mover says.
const (
	sayHello  = "hello"  // first of all: Info, or Error
	sayTaken  = "taken"  // it has begun with a frame of copies
	sayMoved  = "moved"  // Done bytes of the copies have arrived
	sayAnswer = "answer" // last word on a request
)

// message is a frame, either way.
type message struct {
	ID   uint64 `json:"id,omitempty"`
	Type string `json:"type"`

	Memory uint64      `json:"memory,omitempty"` // segment or slab
	Size   int64       `json:"size,omitempty"`
	Offset int64       `json:"offset,omitempty"`
	Length int64       `json:"length,omitempty"`
	Copies [][6]uint64 `json:"copies,omitempty"` // the fields of Copy in their order
	Ranges [][3]uint64 `json:"ranges,omitempty"` // those of Range
	More   bool        `json:"more,omitempty"`

	Info  *Info    `json:"info,omitempty"`
	Error *failure `json:"error,omitempty"`
	// Fatal says that the mover ends because of Error.
	Fatal bool     `json:"fatal,omitempty"`
	Done  int64    `json:"done,omitempty"`
	Moved *Moved   `json:"moved,omitempty"`
	Sums  []uint64 `json:"sums,omitempty"`
	Free  int64    `json:"free,omitempty"`
	Total int64    `json:"total,omitempty"`
}

// failure is an error on its way.
type failure struct {
	Message string      `json:"message"`
	Call    string      `json:"call,omitempty"` // of the driver
	Code    cuda.Result `json:"code,omitempty"`
	Name    string      `json:"name,omitempty"`
	Class   string      `json:"class,omitempty"` // where it is not a call's
}

// classes are the errors without a call that callers decide by.
var classes = map[string]error{
	"unknown": ErrUnknown, "no_library": cuda.ErrNoLibrary, "no_driver": cuda.ErrNoDriver,
	"no_device": cuda.ErrNoDevice, "sticky": cuda.ErrSticky, "out_of_memory": cuda.ErrOutOfMemory,
	"unsupported": cuda.ErrUnsupported,
}

// failureOf returns what to send of an error, nil for nil.
func failureOf(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Message: err.Error()}
	var refused *cuda.Error
	if errors.As(err, &refused) {
		f.Call, f.Code, f.Name = refused.Call, refused.Code, refused.Name
		return f
	}
	for name, class := range classes {
		if errors.Is(err, class) {
			f.Class = name
		}
	}
	return f
}

// remote is an error of the mover, in the agent.
type remote struct {
	message string
	class   error
}

func (e *remote) Error() string { return e.message }
func (e *remote) Unwrap() error { return e.class }

// err returns the error that was sent, nil for nil.
func (f *failure) err() error {
	switch {
	case f == nil:
		return nil
	case f.Call != "":
		return &remote{f.Message, &cuda.Error{Call: f.Call, Code: f.Code, Name: f.Name}}
	}
	return &remote{f.Message, classes[f.Class]}
}

// pack returns a Copy as it is sent. Negative numbers become ones that are beyond
// everything.
func (c Copy) pack() [6]uint64 {
	return [6]uint64{c.Slab, uint64(c.Offset), uint64(c.Length), uint64(c.From), c.Source, uint64(c.At)}
}

// unpack returns the Copy that was sent.
func unpack(w [6]uint64) (Copy, error) {
	if w[1] > math.MaxInt64 || w[2] > math.MaxInt64 || w[5] > math.MaxInt64 || w[3] > uint64(FromZero) || w[2] == 0 {
		return Copy{}, fmt.Errorf("copy %v: %w", w, ErrUnknown)
	}
	return Copy{Slab: w[0], Offset: int64(w[1]), Length: int64(w[2]), From: From(w[3]), Source: w[4], At: int64(w[5])}, nil
}

// within reports whether length bytes from offset on, at least one, lie in size.
func within(offset, length, size int64) bool {
	return offset >= 0 && length > 0 && offset <= size && length <= size-offset
}
