# Completes `vhost` in elvish. Printed by `vhost completions elvish`.
use str

set edit:completion:arg-completer[vhost] = {|@words|
    try {
        (external vhost) completions elvish -- $@words 2>/dev/null | from-lines | each {|line|
            if (eq $line ':files') {
                edit:complete-filename $words[-1]
            } else {
                var parts = [(str:split &max=2 "\t" $line)]
                if (> (count $parts) 1) {
                    edit:complex-candidate $parts[0] &display=$parts[0]' ('$parts[1]')'
                } else {
                    put $parts[0]
                }
            }
        }
    } catch e {
        nop
    }
}
