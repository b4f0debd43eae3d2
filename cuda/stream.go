package cuda

import (
	"errors"
	"time"
)

// Stream is work of a device that is done in order. 0 is the stream that all others
// of the process wait for.
type Stream uintptr

// Event is a mark in a stream.
type Event uintptr

const (
	streamNonBlocking = 1 // does not wait for stream 0
	eventBlockingSync = 1 // who waits sleeps
)

// NewStream returns a stream that waits for no other.
func (b *Bound) NewStream() (Stream, error) {
	if err := b.ready(cuStreamCreate); err != nil {
		return 0, err
	}
	s, err := b.driver.out64(cuStreamCreate, streamNonBlocking)
	return Stream(s), err
}

// DestroyStream ends a stream when its work is done.
func (b *Bound) DestroyStream(s Stream) error { return b.call(cuStreamDestroy, uintptr(s)) }

// Synchronize waits until a stream's work is done.
func (b *Bound) Synchronize(s Stream) error { return b.call(cuStreamSynchronize, uintptr(s)) }

// Query tells whether a stream's work is done.
func (b *Bound) Query(s Stream) (done bool, err error) {
	return finished(b.call(cuStreamQuery, uintptr(s)))
}

// Wait makes a stream wait for an event of another.
func (b *Bound) Wait(s Stream, e Event) error {
	return b.call(cuStreamWaitEvent, uintptr(s), uintptr(e), 0)
}

// NewEvent returns an event that has not been recorded.
func (b *Bound) NewEvent() (Event, error) {
	if err := b.ready(cuEventCreate); err != nil {
		return 0, err
	}
	e, err := b.driver.out64(cuEventCreate, eventBlockingSync)
	return Event(e), err
}

// DestroyEvent gives an event back.
func (b *Bound) DestroyEvent(e Event) error { return b.call(cuEventDestroy, uintptr(e)) }

// Record puts the event behind what the stream was given before.
func (b *Bound) Record(e Event, s Stream) error {
	return b.call(cuEventRecord, uintptr(e), uintptr(s))
}

// QueryEvent tells whether the stream has come to the event.
func (b *Bound) QueryEvent(e Event) (done bool, err error) {
	return finished(b.call(cuEventQuery, uintptr(e)))
}

// SynchronizeEvent waits until the stream has come to the event.
func (b *Bound) SynchronizeEvent(e Event) error { return b.call(cuEventSynchronize, uintptr(e)) }

// Elapsed returns the time between two events that have come.
func (b *Bound) Elapsed(from, to Event) (time.Duration, error) {
	if err := b.ready(cuEventElapsedTime); err != nil {
		return 0, err
	}
	ms, err := b.driver.elapsed(from, to)
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

// finished makes an answer of what a query returns.
func finished(err error) (bool, error) {
	var refused *Error
	if errors.As(err, &refused) && refused.Code == NotReady {
		return false, nil
	}
	return err == nil, err
}
