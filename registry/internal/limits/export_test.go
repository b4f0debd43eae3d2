package limits

// SetMost says how many addresses are remembered.
func (l *Limits) SetMost(n int) { l.addresses.most = n }

// Callers returns how many addresses are remembered.
func (l *Limits) Callers() int {
	l.addresses.mu.Lock()
	defer l.addresses.mu.Unlock()
	return l.addresses.order.Len()
}

// Users returns how many callers are remembered.
func (s *Shares) Users() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.users)
}
