"""What the emulated system and the injector share: a precise alarm, an HTTP/1.1 client pool, processes of our own."""
