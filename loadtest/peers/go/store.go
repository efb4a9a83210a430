// The demo data and the shapes of the contract: users, events, and the store that both styles read.
package main

import (
	"fmt"
	"sync"
)

type address struct {
	Street  string `json:"street"`
	City    string `json:"city"`
	Country string `json:"country"`
	Zip     string `json:"zip"`
}

type user struct {
	ID      int64    `json:"id"`
	Name    string   `json:"name"`
	Email   string   `json:"email"`
	Active  bool     `json:"active"`
	Score   float64  `json:"score"`
	Roles   []string `json:"roles"`
	Address *address `json:"address"`
	Tags    []string `json:"tags"`
}

type event struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	UserID  int64             `json:"user_id"`
	TS      int64             `json:"ts"`
	Tags    []string          `json:"tags"`
	Payload map[string]string `json:"payload"`
}

type accepted struct {
	Accepted int      `json:"accepted"`
	Keys     []string `json:"keys"`
}

const (
	maxEvents    = 10000
	maxBodyBytes = 8 << 20
)

// store maps ids to users under a read-write lock, as a service with writers would.
type store struct {
	mu    sync.RWMutex
	users map[int64]*user
}

func newStore(count int) *store {
	s := &store{users: make(map[int64]*user, count)}
	for i := int64(0); i < int64(count); i++ {
		s.users[i] = demoUser(i)
	}
	return s
}

func (s *store) find(id int64) *user {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.users[id]
}

func demoUser(i int64) *user {
	return &user{
		ID:     i,
		Name:   fmt.Sprintf("User Number %d", i),
		Email:  fmt.Sprintf("user%d@example.com", i),
		Active: i%2 == 0,
		Score:  float64(i) * 1.25,
		Roles:  []string{"reader", "writer", fmt.Sprintf("team-%d", i%100)},
		Address: &address{
			Street:  fmt.Sprintf("%d High Street", i),
			City:    "Springfield",
			Country: "Freedonia",
			Zip:     fmt.Sprintf("%05d", i%100000),
		},
		Tags: []string{"alpha", "beta", fmt.Sprintf("tag-%d", i%1000)},
	}
}
