package doctor

import "context"

// Property is what tests see of a property.
type Property struct {
	Name  string
	After []string
}

// Properties are all there are, in their order.
func Properties() []Property {
	var all []Property
	for _, p := range properties() {
		all = append(all, Property{p.name, p.after})
	}
	return all
}

// ExamineOne puts one property to the test.
func ExamineOne(ctx context.Context, s Store, name string, depth Depth) (Finding, error) {
	for _, p := range properties() {
		if p.name == name {
			return examine(ctx, p, newBench(s, p.name, depth), nil)
		}
	}
	return Finding{}, nil
}

// JudgeFileSystem says what is known of a file system.
func JudgeFileSystem(magic int64) (State, string) {
	v := judgeFileSystem(magic)
	return v.state, v.saw
}
