//! Floor 7: threads, listening sockets, signals, and a php-fpm of our own.
