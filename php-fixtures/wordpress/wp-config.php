<?php
// Configuration: no output, and its text must never be served.
$secret = "a-made-up-password";
