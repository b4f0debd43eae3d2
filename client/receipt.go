package client

// Progress hears of a transfer, in plain bytes. Its methods are called by
// several goroutines at once, and often: they must be cheap.
type Progress interface {
	// Total announces bytes more to settle.
	Total(bytes int64)
	// Add reports bytes that are settled: sent, received, or found in place.
	Add(bytes int64)
}

// silent is the Progress of those who asked for none.
type silent struct{}

func (silent) Total(int64) {}
func (silent) Add(int64)   {}

// heard returns p, or what nobody listens to.
func heard(p Progress) Progress {
	if p == nil {
		return silent{}
	}
	return p
}

// Receipt says what a push or a pull moved. Its JSON is a contract: fields are
// added, never renamed.
type Receipt struct {
	Ref                string  `json:"ref"`
	Digest             string  `json:"digest"`               // of the version
	BytesTotal         int64   `json:"bytes_total"`          // plain bytes of all files
	BytesSent          int64   `json:"bytes_sent"`           // encoded chunk bytes put on the wire, retries included
	BytesSentDelta     int64   `json:"bytes_sent_delta"`     // part of those: deltas
	BytesReceived      int64   `json:"bytes_received"`       // encoded chunk bytes that came, retries included
	BytesReceivedDelta int64   `json:"bytes_received_delta"` // part of those: deltas
	BytesReceivedBase  int64   `json:"bytes_received_base"`  // part of those: what deltas were decoded with
	BytesReused        int64   `json:"bytes_reused"`         // plain bytes that a pull found locally
	BytesStored        int64   `json:"bytes_stored"`         // encoded bytes that a push added to the registry
	ChunksTotal        int     `json:"chunks_total"`         // distinct
	ChunksNew          int     `json:"chunks_new"`           // uploaded, or received
	ChunksDelta        int     `json:"chunks_delta"`         // part of those: as deltas
	BasesWrong         int     `json:"bases_wrong"`          // deltas that came again, whole, since what was here was not what it should be
	Files              int     `json:"files"`
	Seconds            float64 `json:"seconds"`
}
