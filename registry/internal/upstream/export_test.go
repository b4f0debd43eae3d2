package upstream

// Settle waits until nothing goes on behind requests. No request is under way.
func (s *Source) Settle() { s.work.Wait() }
