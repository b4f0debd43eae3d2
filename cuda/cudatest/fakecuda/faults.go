package fakecuda

import (
	"fmt"
	"regexp"
	"strings"
)

var oneFault = regexp.MustCompile(`^(@[\w.-]{1,31}:)?(#|(\w+):)([1-9][0-9]*)\+?=([1-9][0-9]*|kill|hang|corrupt)$`)

// checkFaults tells what is wrong with faults before a process dies of them.
func checkFaults(spec string) error {
	if len(spec) >= specSize || strings.Count(spec, ",") >= faultCount {
		return fmt.Errorf("faults of %d bytes, too many", len(spec))
	}
	if spec == "" {
		return nil
	}
	for one := range strings.SplitSeq(spec, ",") {
		m := oneFault.FindStringSubmatch(one)
		if m == nil {
			return fmt.Errorf("fault %q: want [@role:]function:N=CODE", one)
		}
		if m[5] == "corrupt" && m[3] != "work" {
			return fmt.Errorf("fault %q: only work can be corrupt", one)
		}
		_, known := calls()[m[3]]
		if m[3] != "" && m[3] != "work" && !known {
			return fmt.Errorf("fault %q: %s is no function of the driver", one, m[3])
		}
	}
	return nil
}
