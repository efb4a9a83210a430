// The hurried style, on purpose: fmt.Sprintf for every key, append without capacity, arguments boxed
// into `any` for a log line, an encoder and a fresh buffer for each request. Do not tidy it up.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"sync/atomic"
)

type naiveAPI struct{ users *store }

// countingWriter swallows log lines after they have been formatted, which is what costs.
type countingWriter struct{ bytes atomic.Int64 }

func (c *countingWriter) Write(line []byte) (int, error) {
	c.bytes.Add(int64(len(line)))
	return len(line), nil
}

var naiveLog = log.New(new(countingWriter), "naive ", log.LstdFlags|log.Lmicroseconds)

func logArguments(pattern string, arguments ...any) {
	fields := []any{}
	for i, argument := range arguments {
		fields = append(fields, fmt.Sprintf("arg%d=%v", i, argument))
	}
	naiveLog.Print(fmt.Sprintf(pattern, arguments...) + " " + fmt.Sprint(fields...))
}

func writeNaive(w http.ResponseWriter, value any) {
	buffer := new(bytes.Buffer)
	if err := json.NewEncoder(buffer).Encode(value); err != nil {
		writeError(w, http.StatusInternalServerError, "internal", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, buffer.String())
}

func (api *naiveAPI) user(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "bad_request", "id must be an integer")
		return
	}
	key := fmt.Sprintf("user:%d", id)
	logArguments("GET %s from %s key %s", r.URL.Path, r.RemoteAddr, key)
	found := api.users.find(id)
	if found == nil {
		writeError(w, http.StatusNotFound, "not_found", "no such user")
		return
	}
	copied := *found
	copied.Roles = nil
	for _, role := range found.Roles {
		copied.Roles = append(copied.Roles, role)
	}
	copied.Tags = nil
	for _, tag := range found.Tags {
		copied.Tags = append(copied.Tags, tag)
	}
	writeNaive(w, copied)
}

func (api *naiveAPI) events(w http.ResponseWriter, r *http.Request) {
	if !checkContentType(w, r) {
		return
	}
	var events []event
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	err := decoder.Decode(&events)
	if err == nil {
		err = expectEnd(decoder)
	}
	if err != nil {
		writeBodyError(w, err)
		return
	}
	if len(events) > maxEvents {
		writeError(w, http.StatusRequestEntityTooLarge, "payload_too_large", "at most 10000 events")
		return
	}
	keys := []string{}
	for _, e := range events {
		key := fmt.Sprintf("%s:%s:%d", e.Type, e.ID, e.UserID)
		keys = append(keys, key)
		logArguments("event %s of user %d", key, e.UserID)
	}
	writeNaive(w, accepted{Accepted: len(events), Keys: keys})
}
