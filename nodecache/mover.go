package nodecache

import (
	"fmt"
	"net"
	"os"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// MoverDescriptor is where the process that Mover is for finds its connection.
const MoverDescriptor = 3

// Mover moves bytes to one GPU, as the agent asks through a connection, and returns
// when the agent is gone, or with an error when the GPU is of no use to this process
// any more. The process has to end then. Nobody but an agent has a use for it.
func Mover(device string) error {
	uuid, err := cuda.ParseUUID(device)
	if err != nil {
		return fmt.Errorf("mover: %w", err)
	}
	f := os.NewFile(MoverDescriptor, "agent")
	c, err := net.FileConn(f)
	_ = f.Close() // the connection has its own
	if err != nil {
		return fmt.Errorf("mover: descriptor %d is no connection with an agent: %w", MoverDescriptor, err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close() // whatever it is
		return fmt.Errorf("mover: descriptor %d is no connection with an agent", MoverDescriptor)
	}
	if err := mover.Serve(conn, mover.Options{UUID: uuid}); err != nil {
		return fmt.Errorf("mover: %w", err)
	}
	return nil
}
