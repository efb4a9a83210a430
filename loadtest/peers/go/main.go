// The peer that Tailrace is measured against: the contract's busiest routes on Go's net/http.
//
// Two styles stand side by side over one store, as in tailrace-api: `pooled` is what a team writes
// that knows how allocation hurts (pools, capacity, typed appends, Content-Length), `naive` is what
// a hurried team writes. Standard library only, so that it builds without a network.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "host:port; port 0 picks one, printed")
	users := flag.Int("users", 100000, "demo users made at start")
	accessLog := flag.String("access-log", "errors", "off, errors (status >= 500, or over 1 s) or all; lines on stderr, dropped rather than waited for")
	flag.Parse()
	known := *accessLog == "off" || *accessLog == "errors" || *accessLog == "all"
	if flag.NArg() > 0 || *users < 0 || !known {
		flag.Usage()
		os.Exit(2)
	}
	if err := serve(*listen, *users, *accessLog); err != nil {
		fmt.Fprintln(os.Stderr, "go-peer:", err)
		os.Exit(1)
	}
}

func serve(listen string, users int, accessLog string) error {
	handler := newHandler(newStore(users))
	flushLog := func() {}
	if accessLog != "off" {
		sink := newLogSink(os.Stderr)
		handler, flushLog = withAccessLog(handler, sink, accessLog == "all"), sink.close
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stop() // A second signal ends the process at once.
		limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		drained <- server.Shutdown(limit)
	}()
	fmt.Printf("listening http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := <-drained; err != nil {
		return err // Requests are still under way and may log: the process ends with them.
	}
	flushLog()
	return nil
}

// newHandler is the table of routes. Each answer carries X-Request-ID, errors included.
func newHandler(users *store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /debug/memstats", memstats)
	pooled := &pooledAPI{users: users}
	mux.HandleFunc("GET /pooled/users/{id}", pooled.user)
	mux.HandleFunc("POST /pooled/events", pooled.events)
	naive := &naiveAPI{users: users}
	mux.HandleFunc("GET /naive/users/{id}", naive.user)
	mux.HandleFunc("POST /naive/events", naive.events)
	mux.HandleFunc("/", unmatched)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setRequestID(w, r)
		mux.ServeHTTP(w, r)
	})
}

// unmatched gets what no pattern with a method took: unknown paths and known paths with a wrong method.
func unmatched(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/pooled"), "/naive")
	styled := path != r.URL.Path
	allow := ""
	switch {
	case !styled && (path == "/healthz" || path == "/debug/memstats"):
		allow = "GET, HEAD"
	case styled && path == "/events":
		allow = "POST"
	case styled && strings.HasPrefix(path, "/users/") && strings.Count(path, "/") == 2:
		allow = "GET, HEAD"
	}
	if allow == "" {
		writeError(w, http.StatusNotFound, "not_found", "no such route")
		return
	}
	w.Header().Set("Allow", allow)
	writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "allowed: "+allow)
}

var (
	healthzBody   = []byte("ok\n")
	healthzLength = []string{"3"}
	plainText     = []string{"text/plain; charset=utf-8"}
)

func healthz(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header["Content-Type"] = plainText
	header["Content-Length"] = healthzLength
	w.Write(healthzBody)
}

// memstats lets a comparison count allocations: the difference of two readings over the requests between.
func memstats(w http.ResponseWriter, _ *http.Request) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	body, err := json.Marshal(struct {
		Mallocs      uint64 `json:"mallocs"`
		TotalAlloc   uint64 `json:"total_alloc"`
		NumGC        uint32 `json:"num_gc"`
		PauseTotalNs uint64 `json:"pause_total_ns"`
	}{stats.Mallocs, stats.TotalAlloc, stats.NumGC, stats.PauseTotalNs})
	if err != nil {
		writeError(w, http.StatusInternalServerError, "internal", err.Error())
		return
	}
	writeJSON(w, http.StatusOK, body)
}
