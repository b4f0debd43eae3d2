package main

import "log/slog"

// logConfig is what the log of a command is told.
type logConfig struct {
	level, format string
}

// newLogConfig returns the defaults.
func newLogConfig() logConfig { return logConfig{level: "info", format: "text"} }

// keys are those of every config with a log.
func (c *logConfig) keys() []*key {
	levels, formats := []string{"debug", "info", "warn", "error"}, []string{"text", "json"}
	return []*key{
		newKey("log-level", "LEVEL", oneOf(levels), &c.level, parseWord(levels), asIs,
			"least level to log: "+oneOf(levels)),
		newKey("log-format", "FORMAT", oneOf(formats), &c.format, parseWord(formats), asIs,
			"how to log: "+oneOf(formats)+", which is one object on a line"),
	}
}

// newLogger returns the logger that the configuration asks for. If that writes
// JSON, the failure of the program is its last line.
func (p *program) newLogger(c logConfig) *slog.Logger {
	o := &slog.HandlerOptions{}
	if level := new(slog.Level); level.UnmarshalText([]byte(c.level)) == nil {
		o.Level = level
	}
	if c.format == "text" {
		return slog.New(slog.NewTextHandler(p.stderr, o))
	}
	o.ReplaceAttr = inSeconds
	p.logger = slog.New(slog.NewJSONHandler(p.stderr, o))
	return p.logger
}

// inSeconds makes durations, which are whole nanoseconds in JSON, seconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
