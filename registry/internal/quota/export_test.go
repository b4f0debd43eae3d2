package quota

import "context"

// Look is one look of Run.
func (s *Service) Look(ctx context.Context) error { return s.look(ctx) }
