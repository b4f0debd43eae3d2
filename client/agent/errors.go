package agent

import (
	"errors"

	"github.com/ingot-ml/ingot/openapi"
)

// isOwn tells an error that needs no explanation by the state of the connection.
func isOwn(err error) bool {
	if _, told := errors.AsType[*openapi.Error](err); told {
		return true
	}
	return errors.Is(err, ErrMissed) || errors.Is(err, ErrProtocol) || errors.Is(err, ErrClosed)
}
