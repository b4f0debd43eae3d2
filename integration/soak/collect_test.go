package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// longestCollection bounds a call for a collection, which may meet a store that is
// paused.
const longestCollection = 2 * time.Minute

// collect has replicas collect garbage until ctx ends, and others at the same time:
// one all the time, the others now and then, since who is slower begins again. Some of
// them choose encodings anew instead.
func (r *round) collect(ctx context.Context, i int) {
	random := r.random(fmt.Sprint("collector-", i))
	pause := []time.Duration{500 * time.Millisecond, 8 * time.Second, 25 * time.Second}[i%collectors]
	for wait(ctx, time.Duration(random.ExpFloat64()*float64(pause))) {
		at := r.replicas[random.IntN(len(r.replicas))].front.URL()
		if random.IntN(10) == 0 {
			r.collected(upkeep[openapi.GCReport](at, "gc", openapi.GCRequest{DryRun: true}))
			continue
		}
		if random.IntN(8) == 0 {
			r.compacted(upkeep[openapi.CompactReport](at, "compact", openapi.CompactRequest{}))
			continue
		}
		r.collected(upkeep[openapi.GCReport](at, "gc", noGrace()))
	}
}

func (r *round) compacted(report openapi.CompactReport, err error) {
	if err != nil {
		r.tally.fail("compact", err)
		return
	}
	r.tally.did("compact")
	r.ledger.note("compacted: %+v", report)
}

// noGrace asks to free all that nothing needs, however new.
func noGrace() openapi.GCRequest {
	zero := int64(0)
	return openapi.GCRequest{GraceSeconds: &zero}
}

func (r *round) collected(report openapi.GCReport, err error) {
	if err != nil {
		r.tally.fail("collect", err)
		return
	}
	r.tally.did("collect")
	r.ledger.note("collected: %+v", report)
	for _, a := range report.Anomalies {
		r.tally.count(r.tally.failed, fmt.Sprintf("anomaly: %.40s", a))
	}
}

// upkeep makes one of the long calls, which answer line by line, once.
func upkeep[Report any](at, what string, request any) (report Report, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), longestCollection)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return report, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/v1/"+what, bytes.NewReader(body))
	if err != nil {
		return report, err
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line struct {
			Report *Report        `json:"report"`
			Error  *openapi.Error `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return report, fmt.Errorf("%s answers %.200q: %w", what, lines.Bytes(), err)
		}
		if line.Error != nil {
			return report, line.Error
		}
		if line.Report != nil {
			return *line.Report, nil
		}
	}
	return report, errors.Join(lines.Err(), fmt.Errorf("%s ended without a report, status %d", what, resp.StatusCode))
}
