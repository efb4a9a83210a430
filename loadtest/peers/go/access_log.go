// The access log: one line for each request that failed, was slow, or (mode all) any, made in a pooled buffer and written by one goroutine. Requests
// never wait for it: when the bounded queue is full the line is dropped and counted.
package main

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	logQueueLines = 4096
	slowRequest   = time.Second
)

type logSink struct {
	lines   chan *[]byte
	done    chan struct{}
	dropped atomic.Uint64
}

var logLines = sync.Pool{New: func() any {
	line := make([]byte, 0, 256)
	return &line
}}

func newLogSink(out io.Writer) *logSink {
	s := &logSink{lines: make(chan *[]byte, logQueueLines), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		var room [64 << 10]byte
		pending := room[:0]
		for line := range s.lines {
			pending = append(pending, *line...)
			logLines.Put(line)
			if len(s.lines) == 0 || len(pending) > len(room)-4096 {
				out.Write(pending)
				pending = room[:0]
			}
		}
	}()
	return s
}

// close writes what is queued; no request may be under way.
func (s *logSink) close() {
	close(s.lines)
	<-s.done
}

type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int
}

var statusWriters = sync.Pool{New: func() any { return new(statusWriter) }}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(body []byte) (int, error) {
	n, err := w.ResponseWriter.Write(body)
	w.bytes += n
	return n, err
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func withAccessLog(next http.Handler, sink *logSink, all bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		counted := statusWriters.Get().(*statusWriter)
		*counted = statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(counted, r)
		took, status, size := time.Since(begin), counted.status, counted.bytes
		*counted = statusWriter{}
		statusWriters.Put(counted)
		if !all && status < 500 && took < slowRequest {
			return
		}
		line := logLines.Get().(*[]byte)
		text := begin.UTC().AppendFormat((*line)[:0], "2006-01-02T15:04:05.000Z ")
		text = append(text, r.Method...)
		text = append(text, ' ')
		text = append(text, limited(r.URL.Path, 512)...)
		text = append(text, ' ')
		text = strconv.AppendInt(text, int64(status), 10)
		text = append(text, ' ')
		text = strconv.AppendInt(text, int64(size), 10)
		text = append(text, ' ')
		text = strconv.AppendInt(text, took.Microseconds(), 10)
		text = append(text, "us "...)
		text = append(text, w.Header().Get("X-Request-Id")...)
		text = append(text, '\n')
		*line = text
		select {
		case sink.lines <- line:
		default:
			sink.dropped.Add(1)
			logLines.Put(line)
		}
	})
}

func limited(text string, limit int) string {
	if len(text) > limit {
		return text[:limit]
	}
	return text
}
