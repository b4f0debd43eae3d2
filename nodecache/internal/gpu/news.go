package gpu

import (
	"sync"

	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// news is what has happened and was not told yet, so that it can be told without a
// lock. Its zero value is ready.
type news struct {
	bell bell.Bell
	mu   sync.Mutex
	list []item
}

type item struct {
	key   ledger.Key
	event openapi.NodeEvent
}

// tell has it told what happened to a version.
func (d *Device) tell(v Version, kind string, bytes int64, message string) {
	d.news.mu.Lock()
	defer d.news.mu.Unlock()
	d.news.list = append(d.news.list, item{v.Key, openapi.NodeEvent{
		Type: kind, Tier: openapi.TierGPU, Device: d.config.UUID, Bytes: bytes, Total: bytes, Message: message,
	}})
	d.news.bell.Ring()
}

// spread tells what happens until the Device is closed, and what is left then.
func (d *Device) spread() {
	for {
		rung := d.news.bell.Next()
		d.news.mu.Lock()
		list := d.news.list
		d.news.list = nil
		d.news.mu.Unlock()
		for _, i := range list {
			d.config.Event(i.key, i.event)
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-rung:
		case <-d.ctx.Done():
			return
		}
	}
}
