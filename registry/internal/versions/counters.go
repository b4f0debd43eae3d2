package versions

import "sync/atomic"

// Counters are how chunks went, since the Service was made.
type Counters struct {
	SentWhole  int64 // as they are stored
	SentStored int64 // deltas as they are stored, with the bases that the caller lacked
	SentFresh  int64 // as deltas of what the caller had
	SentAnew   int64 // stored as deltas, and encoded whole for the caller

	ReceivedWhole int64
	ReceivedDelta int64

	// Unaffordable is how often something was sent whole, or a delta refused, because its
	// caller had spent its budget of work on deltas.
	Unaffordable int64
}

// counters count them.
type counters struct {
	sentWhole, sentStored, sentFresh, sentAnew, receivedWhole, receivedDelta, unaffordable atomic.Int64
}

// Counters returns what has happened so far.
func (s *Service) Counters() Counters {
	c := &s.counters
	return Counters{
		SentWhole: c.sentWhole.Load(), SentStored: c.sentStored.Load(), SentFresh: c.sentFresh.Load(), SentAnew: c.sentAnew.Load(),
		ReceivedWhole: c.receivedWhole.Load(), ReceivedDelta: c.receivedDelta.Load(),
		Unaffordable: c.unaffordable.Load(),
	}
}

// counted counts one more if that went well.
func counted[T any](v T, err error, n *atomic.Int64) (T, error) {
	if err == nil {
		n.Add(1)
	}
	return v, err
}
