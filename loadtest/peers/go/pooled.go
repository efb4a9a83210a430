// The tuned style: encoding/json with pooled buffers and encoders, slices with capacity, strconv and
// append instead of fmt, Content-Length on each answer. Buffers that grew past a cap are not put back.
package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

const maxPooledBytes = 64 << 10

type pooledAPI struct{ users *store }

// encoder keeps a json.Encoder with the buffer that it writes to.
type encoder struct {
	buffer bytes.Buffer
	json   *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(&e.buffer)
	e.json.SetEscapeHTML(false)
	return e
}}

func writePooled(w http.ResponseWriter, value any) {
	e := encoders.Get().(*encoder)
	e.buffer.Reset()
	if err := e.json.Encode(value); err != nil {
		writeError(w, http.StatusInternalServerError, "internal", err.Error())
	} else {
		body := e.buffer.Bytes()
		writeJSON(w, http.StatusOK, body[:len(body)-1]) // Without the Encoder's newline.
	}
	if e.buffer.Cap() <= maxPooledBytes {
		encoders.Put(e)
	}
}

func (api *pooledAPI) user(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		writeError(w, http.StatusBadRequest, "bad_request", "id must be an integer")
		return
	}
	found := api.users.find(id)
	if found == nil {
		writeError(w, http.StatusNotFound, "not_found", "no such user")
		return
	}
	writePooled(w, found)
}

// batch is all that one POST of events needs; everything in it is reset by take and reused.
type batch struct {
	body   bytes.Buffer
	events []event
	text   []byte
	ends   []int
	keys   []string
}

var batches = sync.Pool{New: func() any {
	return &batch{events: make([]event, 0, 64), text: make([]byte, 0, 2048), ends: make([]int, 0, 64), keys: make([]string, 0, 64)}
}}

func takeBatch() *batch {
	b := batches.Get().(*batch)
	b.body.Reset()
	// The decoder fills old elements in place: members that a document leaves out must not show through.
	used := b.events[:cap(b.events)]
	for i := range used {
		e := &used[i]
		tags, payload := e.Tags[:0], e.Payload
		clear(payload)
		*e = event{Tags: tags, Payload: payload}
	}
	b.events, b.text, b.ends, b.keys = b.events[:0], b.text[:0], b.ends[:0], b.keys[:0]
	return b
}

func (b *batch) giveBack() {
	if b.body.Cap() <= maxPooledBytes && cap(b.events) <= 256 {
		batches.Put(b)
	}
}

func (api *pooledAPI) events(w http.ResponseWriter, r *http.Request) {
	if !checkContentType(w, r) {
		return
	}
	b := takeBatch()
	defer b.giveBack()
	if r.ContentLength > 0 && r.ContentLength <= maxBodyBytes {
		b.body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := b.body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBodyBytes)); err != nil {
		writeBodyError(w, err)
		return
	}
	if err := json.Unmarshal(b.body.Bytes(), &b.events); err != nil {
		writeBodyError(w, err)
		return
	}
	if len(b.events) > maxEvents {
		writeError(w, http.StatusRequestEntityTooLarge, "payload_too_large", "at most 10000 events")
		return
	}
	for i := range b.events {
		e := &b.events[i]
		b.text = append(b.text, e.Type...)
		b.text = append(b.text, ':')
		b.text = append(b.text, e.ID...)
		b.text = append(b.text, ':')
		b.text = strconv.AppendInt(b.text, e.UserID, 10)
		b.ends = append(b.ends, len(b.text))
	}
	// One string for all keys; each key is a part of it.
	all, begin := string(b.text), 0
	for _, end := range b.ends {
		b.keys = append(b.keys, all[begin:end])
		begin = end
	}
	writePooled(w, accepted{Accepted: len(b.events), Keys: b.keys})
}
