module tailrace.example/peers/go_marking

go 1.22
