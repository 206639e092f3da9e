# Completes `vhost` in PowerShell 7.3 or later. Printed by `vhost completions powershell`.
Register-ArgumentCompleter -Native -CommandName vhost -ScriptBlock {
    param($word, $line, $cursor)

    $words = @($line.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursor } |
        ForEach-Object { if ($null -ne $_.Value) { $_.Value } else { $_.Extent.Text } })
    $vhost = Get-Command -Name vhost -CommandType Application -ErrorAction Ignore |
        Select-Object -First 1
    if (-not $vhost) { return }

    & $vhost completions powershell -- @words $word 2>$null | ForEach-Object {
        # Without an answer of its own PowerShell completes files.
        if ($_ -eq ':files') { return }
        $value, $about = $_ -split "`t", 2
        if (-not $about) { $about = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
    }
}
