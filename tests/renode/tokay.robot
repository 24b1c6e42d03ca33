*** Comments ***
The shipped image in Renode: renode-test tests/renode/tokay.robot
Needs what `make setup` makes: the project's Python environment, the native library, the cross compiler.
A text that begins as name=value is a named argument to Renode: such texts begin with a space here.
What is expected comes from the project's simulator: detections and the accelerator's cycles are to be equal.

*** Settings ***
Library                             ${CURDIR}/tokay_keywords.py

*** Variables ***
${MODEL}                            keyword_spotting_on_off
${UART}                             sysbus.eusart0

*** Keywords ***
Boot
    [Arguments]                     ${elf}  ${audio}=${EMPTY}  ${board}=brd2601b
    ${script}=                      Project Path  boards  renode  tokay.resc
    ${board}=                       Project Path  boards  ${board}  renode.repl
    ${native}=                      Native Library
    ${elf}=                         Monitor Path  ${elf}
    Execute Command                 logLevel 3
    Execute Command                 $elf=${elf}
    Execute Command                 $board=${board}
    Execute Command                 $native=${native}
    Execute Command                 $audio="${audio}"
    Execute Command                 $timing=0
    Execute Command                 $wake_up=4096
    Execute Command                 include ${script}
    Create Terminal Tester          ${UART}  timeout=10  defaultWaitForEcho=false

Start
    [Documentation]                 Starts, and goes on after the link's greeting: bytes that are no text must
    ...                             not be in a line that is waited for.
    Start Emulation
    Wait For Line On Uart           Application settings
    Wait For Line On Uart           ${SPACE}sample_rate_hz=
    Command                         help
    Command                         help
    Wait For Line On Uart           ^Commands: help  treatAsRegex=true

Command
    [Arguments]                     ${line}
    Write Line To Uart              ${line}  waitForEcho=false

Hear
    [Documentation]                 The next detections are these and no others.
    [Arguments]                     @{expected}
    FOR  ${line}  IN  @{expected}
        ${heard}=                   Wait For Line On Uart  Detected class  timeout=20
        Should Contain              ${heard.Line}  ${line}
    END

Open Link
    ${port}=                        Free Port
    Execute Command                 emulation CreateServerSocketTerminal ${port} "link" false
    Execute Command                 connector Connect ${UART} link
    RETURN                          ${port}

*** Test Cases ***
Should Say Hello At Full Speed
    ${elf}=                         Build Image  ${MODEL}  mvp
    ${silence}=                     Make Audio  silence
    ${expected}=                    Simulated Lines  ${elf}  ${silence}  0.5
    Boot                            ${elf}
    Start Emulation
    ${banner}=                      Lines With  ${expected}  Tokay on
    Wait For Line On Uart           ${banner}[0]
    ${model}=                       Lines With  ${expected}  Model:
    Wait For Line On Uart           ${model}[0]
    Wait For Line On Uart           Application settings

Should Run On The Board Without A Microphone
    ${elf}=                         Build Image  ${MODEL}  mvp  board=brd2703a
    ${silence}=                     Make Audio  silence
    ${lines}=                       Simulated Lines  ${elf}  ${silence}  0.5  profile 2  board=brd2703a
    ${layers}=                      Lines With  ${lines}  opcode=
    ${banner}=                      Lines With  ${lines}  Tokay on
    Boot                            ${elf}  board=brd2703a
    Start Emulation
    Wait For Line On Uart           ${banner}[0]
    Wait For Line On Uart           Error: this board has no microphone
    Command                         help
    Command                         help
    Wait For Line On Uart           ^Commands: help  treatAsRegex=true
    Command                         profile 2
    FOR  ${line}  IN  @{layers}
        ${pattern}=                 Accelerator Pattern  ${line}
        Wait For Line On Uart       ${pattern}  treatAsRegex=true
    END
    Wait For Line On Uart           Profile complete

Should Hear Every Keyword As The Simulator Does
    ${elf}=                         Build Image  ${MODEL}  mvp
    ${clip}=                        Clip
    ${lines}=                       Simulated Lines  ${elf}  ${clip}  19.5
    ${expected}=                    Lines With  ${lines}  Detected class
    Detections Should Be Words      ${expected}
    Boot                            ${elf}  ${clip}
    Start
    Hear                            @{expected}
    Should Not Be On Uart           Detected class  timeout=3

Should Hear The Same Without The Accelerator
    ${elf}=                         Build Image  ${MODEL}  none
    ${clip}=                        Clip
    ${lines}=                       Simulated Lines  ${elf}  ${clip}  19.5
    ${expected}=                    Lines With  ${lines}  Detected class
    Detections Should Be Words      ${expected}
    Boot                            ${elf}  ${clip}
    Start
    Hear                            @{expected}

Should Hear Nothing In Noise
    ${elf}=                         Build Image  ${MODEL}  mvp
    ${noise}=                       Make Audio  noise
    ${lines}=                       Simulated Lines  ${elf}  ${noise}  11
    Lines Without                   ${lines}  Detected class
    Boot                            ${elf}  ${noise}
    Start
    Should Not Be On Uart           Detected class  timeout=11
    Command                         stats
    Wait For Line On Uart           Statistics: .* overruns=0 .* skipped=0  treatAsRegex=true

Should Profile With The Simulator's Accelerator Cycles
    ${elf}=                         Build Image  ${MODEL}  mvp
    ${silence}=                     Make Audio  silence
    ${lines}=                       Simulated Lines  ${elf}  ${silence}  0.5  mic off  profile 2
    ${layers}=                      Lines With  ${lines}  opcode=
    Boot                            ${elf}
    Start
    Command                         mic off
    Command                         profile 2
    FOR  ${line}  IN  @{layers}
        ${pattern}=                 Accelerator Pattern  ${line}
        Wait For Line On Uart       ${pattern}  treatAsRegex=true
    END
    Wait For Line On Uart           Profile complete

Should Wake Where A Program Ended Before It Slept
    ${elf}=                         Build Image  keyword_spotting_on_off_v2  mvp
    ${silence}=                     Make Audio  silence
    ${lines}=                       Simulated Lines  ${elf}  ${silence}  0.5  mic off  profile 20
    ${layers}=                      Lines With  ${lines}  opcode=
    Boot                            ${elf}
    Start
    Command                         mic off
    Command                         profile 20
    FOR  ${line}  IN  @{layers}
        ${pattern}=                 Accelerator Pattern  ${line}
        ${told}=                    Wait For Line On Uart  ${pattern}  treatAsRegex=true
        Most Cycles Should Not Exceed  ${told.Line}  ${line}
    END
    Wait For Line On Uart           Profile complete

Should Give The PC's Output Layer By Layer
    ${elf}=                         Build Image  ${MODEL}  mvp
    Boot                            ${elf}
    ${port}=                        Open Link
    Start Emulation
    Link Layers                     ${port}  ${MODEL}  mvp

Should Take Parameters Over The Link
    ${elf}=                         Build Image  ${MODEL}  mvp
    Boot                            ${elf}
    ${port}=                        Open Link
    Start Emulation
    Link Parameters                 ${port}

Should Report Lost Audio
    ${elf}=                         Build Image  ${MODEL}  mvp
    Boot                            ${elf}
    Start
    Should Not Be On Uart           Warning  timeout=1.5
    Command                         stall 900
    Wait For Line On Uart           Warning: [1-9][0-9]* samples of audio lost  treatAsRegex=true
    Command                         stats
    Wait For Line On Uart           ${SPACE}overruns=[1-9]  treatAsRegex=true

Should Report A Fault Of The Accelerator And Go On
    ${elf}=                         Build Image  ${MODEL}  mvp
    Boot                            ${elf}
    Start
    Command                         mic off
    Command                         help
    Wait For Line On Uart           ^Commands: help  treatAsRegex=true
    Execute Command                 sysbus.mvp FailNextProgram
    Command                         profile 1
    Wait For Line On Uart           Error: accelerator, layer 0 program 0: bus error
    Command                         profile 1
    Wait For Line On Uart           Profile complete

Should Keep The Record Of A Fault Over Its Resets
    ${elf}=                         Build Image  ${MODEL}  mvp
    Boot                            ${elf}
    ${address}=                     Execute Command  sysbus GetSymbolAddress "nn_kernel_softmax"
    Execute Command                 sysbus WriteDoubleWord ${address.strip()} 0xDEFFDEFF
    Start Emulation
    FOR  ${end}  IN  Restarting.  Restarting.  Halted.
        Wait For Line On Uart       Fault: undefined instruction
        Wait For Line On Uart       ${end}
        IF  '${end}' == 'Restarting.'
            Wait For Line On Uart   Warning: restarted after a fault
        END
    END

Should Run Another Model After A Swap
    ${first}=                       Build Image  ${MODEL}  mvp
    ${second}=                      Build Image  ${MODEL}  mvp  suppression_ms=1700
    ${silence}=                     Make Audio  silence
    ${lines}=                       Simulated Lines  ${second}  ${silence}  0.5
    ${model}=                       Lines With  ${lines}  Model:
    Boot                            ${first}
    Start
    Should Not Be On Uart           ${model}[0]  timeout=1
    Execute Command                 pause
    Execute Command                 machine Reset
    ${elf}=                         Monitor Path  ${second}
    Execute Command                 sysbus LoadELF ${elf}
    Execute Command                 sysbus.cpu VectorTableOffset 0x08000000
    Start Emulation
    Wait For Line On Uart           ${model}[0]
    Wait For Line On Uart           ${SPACE}suppression_ms=1700

Should Take A Model From Flash And Let It Prove Itself
    ${elf}=                         Build Swappable Image  ${MODEL}  mvp
    ${file}  ${address}=            Make Slot  A  ${MODEL}  mvp  suppression_ms=1700
    Boot                            ${elf}
    Start
    Execute Command                 pause
    Execute Command                 sysbus LoadBinary ${file} ${address}
    Execute Command                 machine Reset
    Start Emulation
    Wait For Line On Uart           Model from slot A, on trial
    Wait For Line On Uart           ${SPACE}suppression_ms=1700
    Wait For Line On Uart           The model has proven itself
    Execute Command                 pause
    Execute Command                 machine Reset
    Start Emulation
    Wait For Line On Uart           Model from slot A, proven
    Wait For Line On Uart           ${SPACE}suppression_ms=1700

Should Light The LED When It Hears
    ${elf}=                         Build Image  ${MODEL}  mvp
    ${clip}=                        Clip
    Boot                            ${elf}  ${clip}
    Create LED Tester               sysbus.gpioPort.detectedLed
    Start
    Wait For Line On Uart           Detected class  timeout=20
    Assert LED State                true  timeout=0.1
    Assert LED State                false  timeout=1
    Wait For Line On Uart           Detected class  timeout=20
    Assert LED State                true  timeout=0.1

Should Listen For A Minute Without A Loss
    ${elf}=                         Build Image  ${MODEL}  mvp
    ${long}=                        Make Audio  long
    ${lines}=                       Simulated Lines  ${elf}  ${long}  62
    ${expected}=                    Lines With  ${lines}  Detected class
    Boot                            ${elf}  ${long}
    Execute Command                 emulation SetAdvanceImmediately true
    Start
    Hear                            @{expected}
    Should Not Be On Uart           Warning  timeout=1
    Command                         stats
    Wait For Line On Uart           Statistics: .* overruns=0 .* skipped=0  treatAsRegex=true
