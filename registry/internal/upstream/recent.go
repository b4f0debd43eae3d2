package upstream

import "container/list"

// recent remembers what was used last, up to a weight. It is not safe for concurrent
// use.
type recent[K comparable, V any] struct {
	most, weight int
	order        *list.List // of *remembered, the last used first
	all          map[K]*list.Element
}

type remembered[K comparable, V any] struct {
	key    K
	value  V
	weight int
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most: most, order: list.New(), all: map[K]*list.Element{}}
}

func (r *recent[K, V]) get(key K) (v V, ok bool) {
	e, ok := r.all[key]
	if !ok {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*remembered[K, V]).value, true
}

// put remembers v instead of what was there.
func (r *recent[K, V]) put(key K, v V, weight int) {
	r.drop(key)
	r.all[key] = r.order.PushFront(&remembered[K, V]{key, v, weight})
	r.weight += weight
	for r.weight > r.most && r.order.Len() > 1 {
		r.drop(r.order.Back().Value.(*remembered[K, V]).key)
	}
}

func (r *recent[K, V]) drop(key K) {
	if e, ok := r.all[key]; ok {
		r.weight -= e.Value.(*remembered[K, V]).weight
		r.order.Remove(e)
		delete(r.all, key)
	}
}
